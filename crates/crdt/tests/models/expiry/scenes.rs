//! What goes wrong where a rule is left out: by chance that is rare, so each is built, and shown to be harmless with the
//! rule.

use super::{Action, Model, User, Variant, fault};

/// A cluster of three and a map, played by hand.
struct Scene(Model);

impl Scene {
    fn act(&mut self, at: usize, action: Action) {
        self.0.act(at, User::Map, action);
    }

    /// A field is written by 0, and all know of it.
    fn begin(&mut self) {
        self.act(0, Action::Write(1));
        for other in [1, 2] {
            self.0.cluster.meet(0, other, &mut self.0.random);
        }
        self.0.cluster.persist_all();
    }

    /// 0 sets a deadline that is soon, and these hear of it.
    fn expire_soon(&mut self, heard_by: &[usize]) {
        self.act(0, Action::Expire(10));
        let place = self.0.cluster.say_last();
        for at in heard_by {
            self.0.cluster.hear(*at, place, &mut self.0.random);
        }
    }

    /// The deadline passes, and these say so to each other, who remember it.
    fn pass_and_agree(&mut self, ats: &[usize]) {
        self.0.pass(15);
        self.0.cluster.persist_all();
        self.0.cluster.agree(ats, &mut self.0.random);
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
fn what_was_written_since_is_no_garbage() {
    only_goes_wrong_with(Variant::CollectedUnsettled, |scene| {
        scene.begin();
        scene.expire_soon(&[1, 2]);
        scene.pass_and_agree(&[0, 1, 2]);
        // 1 begins the key anew, and of that 0 has got the new field so far.
        scene.act(1, Action::Write(2));
        scene.0.cluster.begin_session(1, 0, &mut scene.0.random);
        for (from, frames) in [(1, 1), (0, 1), (1, 1)] {
            for _ in 0..frames {
                scene.0.cluster.pass_frame(from, &mut scene.0.random);
            }
        }
        scene.0.collect(0);
    });
}

#[test]
fn a_deadline_that_a_crash_takes_back_can_still_be_put_off() {
    only_goes_wrong_with(Variant::AdvertisedFromMemory, |scene| {
        scene.begin();
        scene.expire_soon(&[1, 2]);
        scene.0.pass(15);
        scene.0.cluster.agree(&[0, 1, 2], &mut scene.0.random);
        scene.0.collect(0);
        scene.0.cluster.crash(1);
        scene.act(1, Action::Expire(500));
    });
}

#[test]
fn a_forgotten_carrier_may_have_put_the_deadline_off() {
    only_goes_wrong_with(Variant::ForgottenComesBack, |scene| {
        scene.begin();
        scene.0.cluster.leave(2);
        scene.act(2, Action::Expire(500));
        scene.expire_soon(&[1]);
        scene.0.cluster.forget(0, 2);
        scene.pass_and_agree(&[0, 1]);
        scene.0.collect(0);
        scene.0.cluster.come_back(2, &mut scene.0.random);
        scene.0.cluster.meet(0, 2, &mut scene.0.random);
    });
}

#[test]
fn a_clock_that_went_back_may_put_the_deadline_off() {
    only_goes_wrong_with(Variant::ClockGoesBack, |scene| {
        scene.0.skews = vec![40; 3];
        scene.0.pass(0);
        scene.begin();
        scene.expire_soon(&[1, 2]);
        scene.0.cluster.persist_all();
        scene.pass_and_agree(&[0, 1, 2]);
        scene.0.skews[1] = 0;
        scene.0.pass(1);
        scene.act(1, Action::Expire(500));
        scene.0.collect(0);
    });
}
