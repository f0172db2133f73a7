//! How a node stands as a member of its cluster.

use syncline::Node;

use crate::collect::unix_ms;
use crate::report::Trust;

pub(crate) fn standing(node: &Node) -> Trust {
    let trust = node.trust();
    Trust {
        expires_ms: unix_ms(trust.expires_at),
        expires_soon: trust.expires_soon,
        renewal_error: trust.renewal,
        revoked: trust.revoked.iter().map(ToString::to_string).collect(),
        authorities: trust.authorities.iter().map(ToString::to_string).collect(),
        has_authority: trust.has_authority,
    }
}

/// What an operator should look after.
pub(crate) fn warnings(trust: &Trust, node: &str, now_ms: u64) -> Vec<String> {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let mut warnings = Vec::new();
    if trust.revoked.iter().any(|revoked| revoked == node) {
        warnings.push(
            "this node was revoked; if that was a mistake, join again by another token".to_owned(),
        );
    }
    if trust.expires_soon {
        warnings.push(match trust.expires_ms.checked_sub(now_ms) {
            Some(left) => {
                let days = left / DAY_MS;
                format!("the certificate ends in {days} days; renew it: syncline cluster rotate")
            }
            None => "the certificate has ended, and nobody lets the node in; join again by another token".to_owned(),
        });
    }
    if let Some(error) = &trust.renewal_error {
        warnings.push(format!("the certificate was not renewed: {error}"));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 24 * 60 * 60 * 1000;

    #[test]
    fn what_ends_a_membership_is_warned_of() {
        let sound = Trust {
            expires_ms: 100 * DAY_MS,
            revoked: vec!["other".to_owned()],
            ..Trust::default()
        };
        assert!(warnings(&sound, "own", DAY_MS).is_empty());
        let ending = Trust {
            expires_soon: true,
            renewal_error: Some("no answer".to_owned()),
            revoked: vec!["own".to_owned()],
            ..sound
        };
        let soon = warnings(&ending, "own", 93 * DAY_MS);
        assert!(soon[0].contains("was revoked"), "{soon:?}");
        assert!(soon[1].contains("in 7 days"), "{soon:?}");
        assert!(soon[2].contains("not renewed: no answer"), "{soon:?}");
        let over = warnings(&ending, "own", 101 * DAY_MS);
        assert!(over[1].contains("has ended"), "{over:?}");
    }
}
