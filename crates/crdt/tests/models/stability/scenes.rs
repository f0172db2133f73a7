//! What goes wrong where a rule is left out: by chance that is rare, so each is built, and shown to be harmless with the
//! rule.

use super::{Action, Model, Variant, fault};

/// A cluster of three, played by hand.
struct Scene(Model);

impl Scene {
    fn act(&mut self, at: usize, action: Action) {
        self.0.act(at, 0, action);
    }

    /// The last commit is told, to those who are named and maybe to others later.
    fn tell(&mut self, to: &[usize]) -> usize {
        let place = self.0.cluster.say_last();
        for at in to {
            self.hear(*at, place);
        }
        place
    }

    fn hear(&mut self, at: usize, place: usize) {
        self.0.cluster.hear(at, place, &mut self.0.random);
    }

    fn meet(&mut self, one: usize, other: usize) {
        self.0.cluster.meet(one, other, &mut self.0.random);
    }

    fn begin_session(&mut self, one: usize, other: usize) {
        self.0.cluster.begin_session(one, other, &mut self.0.random);
        self.pass_frames(one, 1);
        self.pass_frames(other, 1);
    }

    fn pass_frames(&mut self, from: usize, count: usize) {
        for _ in 0..count {
            self.0.cluster.pass_frame(from, &mut self.0.random);
        }
    }

    fn agree(&mut self, ats: &[usize]) {
        self.0.cluster.agree(ats, &mut self.0.random);
        self.0.is_stability_true &= self.0.cluster.is_stability_true();
    }

    /// 2 begins to count, and all know of it.
    fn begin_count(&mut self) {
        self.act(2, Action::Add(5));
        for (one, other) in [(1, 2), (0, 1), (0, 2)] {
            self.meet(one, other);
        }
        self.0.cluster.persist_all();
    }
}

#[track_caller]
fn only_goes_wrong_with(variant: Variant, play: impl Fn(&mut Scene)) {
    for seed in 0..20 {
        for played in [Variant::Right, variant] {
            let mut scene = Scene(Model::still(seed, played));
            play(&mut scene);
            let fault = fault(&mut scene.0);
            assert_eq!(fault.is_some(), played == variant, "{played:?}: {fault:?}");
        }
    }
}

#[test]
fn an_increment_that_was_made_before_the_delete_was_heard_of() {
    only_goes_wrong_with(Variant::CollectedWhenSeen, |scene| {
        scene.begin_count();
        scene.act(0, Action::Delete);
        let delete = scene.tell(&[1]);
        scene.act(2, Action::Add(2));
        scene.hear(2, delete);
        scene.0.cluster.persist_all();
        scene.agree(&[0, 1, 2]);
        scene.0.collect(0);
    });
}

#[test]
fn a_delete_that_a_crash_takes_back_from_one_that_advertised_it() {
    only_goes_wrong_with(Variant::AdvertisedFromMemory, |scene| {
        scene.begin_count();
        scene.act(0, Action::Delete);
        scene.tell(&[1, 2]);
        scene.agree(&[0, 1, 2]);
    });
}

/// The remnant is dropped by a row that is told under a context of before: it says that the delete is gone, and does not
/// say so of what the delete had erased. Whose that was goes on with it.
#[test]
fn a_session_that_speaks_under_a_context_of_before() {
    only_goes_wrong_with(Variant::AdvertisedPastSessions, |scene| {
        scene.act(2, Action::Add(5));
        scene.meet(1, 2);
        scene.act(1, Action::Delete);
        // 0 gets the delete by itself, and passes it on so.
        scene.begin_session(1, 0);
        scene.pass_frames(1, 1);
        scene.begin_session(0, 2);
        scene.pass_frames(0, 1);
        scene.meet(0, 1);
        scene.0.cluster.persist_all();
        scene.agree(&[0, 1, 2]);
        scene.0.collect(0);
        scene.pass_frames(0, 4);
        scene.act(2, Action::Add(2));
    });
}

#[test]
fn a_rumour_of_what_its_maker_has_lost() {
    only_goes_wrong_with(Variant::NotDurableFirst, |scene| {
        scene.begin_count();
        scene.act(0, Action::Delete);
        let delete = scene.tell(&[1]);
        scene.act(2, Action::Add(2));
        let increment = scene.tell(&[]);
        scene.0.cluster.crash(2);
        scene.hear(2, delete);
        scene.0.cluster.persist_all();
        scene.agree(&[0, 1, 2]);
        scene.0.collect(0);
        scene.hear(0, increment);
    });
}

#[test]
fn a_row_that_died_for_one_that_never_came() {
    only_goes_wrong_with(Variant::DeadBeforeReplaced, |scene| {
        scene.act(0, Action::Set(100));
        scene.meet(0, 1);
        scene.meet(0, 2);
        scene.begin_session(0, 1);
        scene.pass_frames(0, 1);
        scene.act(0, Action::Set(200));
        scene.pass_frames(0, 3);
        scene.0.cluster.leave(0);
        scene.0.cluster.forget(1, 0);
    });
}

#[test]
fn a_carrier_that_still_listens_to_a_forgotten_one() {
    only_goes_wrong_with(Variant::ForgottenByOneOnly, |scene| {
        scene.begin_count();
        scene.act(0, Action::Delete);
        scene.tell(&[1]);
        scene.act(2, Action::Add(2));
        let increment = scene.tell(&[]);
        scene.0.cluster.leave(2);
        scene.0.cluster.forget(0, 2);
        scene.0.cluster.persist_all();
        for at in [0, 1, 1] {
            let advert = scene.0.cluster.advertise(at);
            scene.hear(0, advert);
        }
        scene.0.collect(0);
        scene.hear(1, increment);
    });
}

#[test]
fn a_forgotten_carrier_that_comes_back_with_what_nobody_knew() {
    for variant in [
        Variant::ForgottenComesBack,
        Variant::ForgottenComesBackRenamed,
    ] {
        only_goes_wrong_with(variant, |scene| {
            scene.begin_count();
            scene.act(0, Action::Delete);
            scene.tell(&[1]);
            scene.0.cluster.leave(2);
            scene.act(2, Action::Add(2));
            scene.0.cluster.forget(0, 2);
            scene.0.cluster.persist_all();
            scene.agree(&[0, 1]);
            scene.0.collect(0);
            scene.0.cluster.come_back(2, &mut scene.0.random);
            scene.meet(0, 2);
        });
    }
}
