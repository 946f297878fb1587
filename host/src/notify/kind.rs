//! The kinds of mail: one row each with its subject, what was done, what may be done, how its episode ends.

use dr_watchdog_core::effect::Trigger;

/// What a mail is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// This site became active (`domain.md` row 90).
    BecameActive,
    /// This site became standby (row 89).
    BecameStandby,
    /// Automatic failover is disabled (row 87).
    AutomaticFailoverDisabled,
    /// Too few arbiters answer (row 88).
    ArbitersBelowWarning,
    /// The other site cannot be logged in to (row 92).
    PeerLogInFailed,
    /// The arbiters are not managed by the active site (row 95).
    ArbitersNotManaged,
    /// The other site does not answer.
    PeerLost,
    /// The policy gave no verdict.
    PolicyFailed,
    /// The policy crashed too often: nobody asks it until it is loaded again.
    PolicyQuarantined,
    /// A gate stopped a role change.
    GateClosed,
    /// A step of a role change failed.
    StepFailed,
    /// The state could not be written.
    StateNotWritten,
    /// The stored state could not be used.
    StateUnusable,
    /// The two sites' settings contradict each other.
    SettingsContradict,
    /// An operator vouches that the other site is off.
    PeerIsOff,
    /// Settings that both sites must share differ.
    SettingsDiffer,
    /// Both sites are standby.
    BothStandby,
    /// An arbiter shows another host key than the expected one.
    HostKeyChanged,
    /// What the exclusion rests on changed.
    Exclusion,
    /// A test by an operator.
    Test,
}

/// What is fixed about a kind.
#[derive(Debug, PartialEq, Eq)]
pub struct About {
    /// Of which kind.
    pub kind: Kind,
    /// The word in history, log and `--json`.
    pub word: &'static str,
    /// The service whose trouble it is, as `states` names it.
    pub service: &'static str,
    /// For the subject line, after the site's name.
    pub subject: &'static str,
    /// What the watchdog did about it.
    pub done: &'static str,
    /// What the operator may do.
    pub may: &'static str,
    /// For the subject of the mail that ends the episode; empty where nothing ends it but time.
    pub over: &'static str,
}

const fn about(
    kind: Kind,
    word: &'static str,
    service: &'static str,
    subject: &'static str,
    done: &'static str,
    may: &'static str,
    over: &'static str,
) -> About {
    About { kind, word, service, subject, done, may, over }
}

/// Every kind, in the order in which `notify test --kind all` sends them.
static TABLE: [About; 20] = [
    about(
        Kind::Test,
        "test",
        "notification",
        "test",
        "Nothing: an operator asked for this mail.",
        "Nothing. Mail about real trouble arrives here too.",
        "",
    ),
    about(
        Kind::BecameActive,
        "becameActive",
        "heartbeat",
        "is active now",
        "Every step of roleChange.beActive has run; this site serves.",
        "Check the service at this site's address, tell its users, and look why the other site stopped serving.",
        "",
    ),
    about(
        Kind::BecameStandby,
        "becameStandby",
        "heartbeat",
        "is standby now",
        "Every step of roleChange.beStandby has run; this site serves no longer.",
        "See in `health` whether the other site serves; where it does not, find out why this one stopped.",
        "",
    ),
    about(
        Kind::AutomaticFailoverDisabled,
        "automaticFailoverDisabled",
        "heartbeat",
        "automatic failover is disabled",
        "This site will not become active by itself until it is enabled again.",
        "Restore the way to the arbiters, or end an operator's disable with `toolkit watchdog status --enable-automatic-failover`; in an emergency an operator can make the standby site active by hand.",
        "automatic failover is enabled again",
    ),
    about(
        Kind::ArbitersBelowWarning,
        "arbitersBelowWarning",
        "arbiterMonitor",
        "too few arbiters answer",
        "Nothing yet; below watchdog.failureDetection.threshold.failover this site's automatic failover is disabled too.",
        "See `arbiters ping`: mend the way to them, or replace arbiters that are gone for good.",
        "enough arbiters answer again",
    ),
    about(
        Kind::PeerLogInFailed,
        "peerLogInFailed",
        "configMonitor",
        "the other site cannot be logged in to",
        "Failover by itself needs no log-in there; commands that work at both sites will fail.",
        "Check peer.sshUser, peer.identity and peer.hostKey here, and sshd at the other site.",
        "the other site can be logged in to again",
    ),
    about(
        Kind::ArbitersNotManaged,
        "arbitersNotManaged",
        "heartbeat",
        "the arbiters are not managed by the active site",
        "The policy asks for a failover; the gates decide, and another mail tells a role change.",
        "Check the other site now: it seems to be down.",
        "the other site answers again",
    ),
    about(
        Kind::PeerLost,
        "peerLost",
        "heartbeat",
        "the other site does not answer",
        "The arbiters are looked at and the policy is asked; a role change comes with a mail of its own.",
        "Check the other site and the line between the sites.",
        "the other site answers again",
    ),
    about(
        Kind::PolicyFailed,
        "policyFailed",
        "heartbeat",
        "the policy gave no verdict",
        "It counts as the verdict `nothing`: the role is kept, and the policy is asked again.",
        "Try it with `policy eval`; while it fails, only an operator can fail over.",
        "the policy gives verdicts again",
    ),
    about(
        Kind::PolicyQuarantined,
        "policyQuarantined",
        "heartbeat",
        "the policy crashed too often and is not asked any more",
        "The role is kept until the policy is loaded again.",
        "Mend the policy, try it with `policy eval`, then load it with SIGHUP; until then only an operator can fail over.",
        "the policy is asked again",
    ),
    about(
        Kind::GateClosed,
        "gateClosed",
        "heartbeat",
        "a role change was stopped",
        "The policy asked for a role change, a gate stayed shut, and the role was kept.",
        "Read the reason above; open the gate if it should not have stopped this, or change the role by hand.",
        "the situation that asked for a role change is over",
    ),
    about(
        Kind::StepFailed,
        "stepFailed",
        "serviceMonitor",
        "a step of a role change failed",
        "The plan went on or was taken back, as onFailure of the step says; the history tells which.",
        "Run the step by hand to see why it fails, and mend it before the next role change.",
        "the role change is complete",
    ),
    about(
        Kind::StateNotWritten,
        "stateNotWritten",
        "configMonitor",
        "the state cannot be written",
        "No step that depends on it is taken; the write is tried again with the next change.",
        "Make room on the disk of the state folder, or repair it.",
        "the state can be written again",
    ),
    about(
        Kind::StateUnusable,
        "stateUnusable",
        "configMonitor",
        "the stored state cannot be used",
        "Nothing was guessed: this site started as standby, and a copy of the file is kept.",
        "See in `health` which site serves, and look for what damaged the file.",
        "",
    ),
    about(
        Kind::SettingsContradict,
        "settingsContradict",
        "configMonitor",
        "the settings of the two sites contradict each other",
        "The heartbeats of the other site are ignored.",
        "Correct the configuration of one site and restart its watchdog.",
        "",
    ),
    about(
        Kind::PeerIsOff,
        "peerIsOff",
        "heartbeat",
        "an operator vouches that the other site is off",
        "Nothing by itself: `manualFailover -a` works here without the other site's word from now on.",
        "Nothing, if it is so. If it is not, start the other site's watchdog: its first signed message ends that word.",
        "the other site spoke, which ends an operator's word that it is off",
    ),
    about(
        Kind::SettingsDiffer,
        "settingsDiffer",
        "configMonitor",
        "settings differ between the sites",
        "Nothing: each site goes on with its own file.",
        "Make them the same with `toolkit config update`, which changes both sites.",
        "the settings of both sites are the same again",
    ),
    about(
        Kind::BothStandby,
        "bothStandby",
        "heartbeat",
        "both sites are standby, nobody serves",
        "The former active site may come back by itself for as long as watchdog.failureDetection.waitDuration says.",
        "Find out why it stopped; then wait for it, or make one site active by hand.",
        "a site serves again",
    ),
    about(
        Kind::HostKeyChanged,
        "hostKeyChanged",
        "arbiterMonitor",
        "an arbiter shows another host key",
        "Nobody logs in there; the arbiter counts as one that could not be asked.",
        "Find out whether the device was replaced; if so, pin its new key with `arbiters trust`, else look who answers in its place.",
        "the arbiters show their known host keys again",
    ),
    about(
        Kind::Exclusion,
        "exclusion",
        "heartbeat",
        "what the exclusion rests on has changed",
        "Until both sites agree again, no site becomes active by itself.",
        "See `exclusion` in `health` at both sites.",
        "",
    ),
];

impl Kind {
    /// The kind with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        TABLE.iter().find(|about| about.word == word).map(|about| about.kind)
    }

    /// Whether it tells of a change of role: those are never held back.
    pub const fn is_role_change(self) -> bool {
        matches!(self, Self::BecameActive | Self::BecameStandby)
    }

    /// Its row.
    pub fn about(self) -> &'static About {
        // A row is missing for no kind: a test asks for each.
        TABLE.iter().find(|about| about.kind == self).unwrap_or(&TABLE[0])
    }

    /// Every kind.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|about| about.kind)
    }

    /// What a notice of the core means: a new alarm, or the end of one.
    pub const fn of(trigger: Trigger) -> Meaning {
        Meaning::Alarm(match trigger {
            Trigger::AutomaticFailoverEnabled => return Meaning::End(Self::AutomaticFailoverDisabled),
            Trigger::ArbitersAnswer => return Meaning::End(Self::ArbitersBelowWarning),
            Trigger::PeerBack => return Meaning::End(Self::PeerLost),
            Trigger::BecameActive => Self::BecameActive,
            Trigger::BecameStandby => Self::BecameStandby,
            Trigger::AutomaticFailoverDisabled => Self::AutomaticFailoverDisabled,
            Trigger::ArbitersBelowWarning => Self::ArbitersBelowWarning,
            Trigger::PeerLost => Self::PeerLost,
            Trigger::PolicyFailed => Self::PolicyFailed,
            Trigger::PolicyQuarantined => Self::PolicyQuarantined,
            Trigger::GateClosed => Self::GateClosed,
            Trigger::StepFailed => Self::StepFailed,
            Trigger::StateNotWritten => Self::StateNotWritten,
            Trigger::StateUnusable => Self::StateUnusable,
            Trigger::SettingsContradict => Self::SettingsContradict,
            Trigger::PeerIsOff => Self::PeerIsOff,
            Trigger::PeerIsNotOff => return Meaning::End(Self::PeerIsOff),
            Trigger::SettingsAgree => return Meaning::End(Self::SettingsDiffer),
            Trigger::SettingsDiffer => Self::SettingsDiffer,
            Trigger::BothStandby => Self::BothStandby,
            Trigger::HostKeyChanged => Self::HostKeyChanged,
            Trigger::Exclusion => Self::Exclusion,
        })
    }
}

/// What a notice means for the episodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Something is wrong, or a role changed.
    Alarm(Kind),
    /// It is over.
    End(Kind),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_word_of_its_own_and_all_four_sentences() {
        for kind in Kind::all() {
            let about = kind.about();
            assert_eq!(Kind::from_word(about.word), Some(kind), "{kind:?}");
            assert!(![about.service, about.subject, about.done, about.may].contains(&""), "{kind:?}");
            assert!(about.done.ends_with('.') && about.may.ends_with('.'), "{kind:?}");
            assert!(!about.subject.ends_with('.'), "{kind:?}");
        }
    }

    #[test]
    fn an_end_names_the_alarm_that_it_ends() {
        assert_eq!(Kind::of(Trigger::PeerBack), Meaning::End(Kind::PeerLost));
        assert_eq!(Kind::of(Trigger::ArbitersAnswer), Meaning::End(Kind::ArbitersBelowWarning));
        assert_eq!(
            Kind::of(Trigger::AutomaticFailoverEnabled),
            Meaning::End(Kind::AutomaticFailoverDisabled)
        );
        assert_eq!(Kind::of(Trigger::BecameActive), Meaning::Alarm(Kind::BecameActive));
    }
}
