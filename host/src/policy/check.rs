//! Gate 1: whether a guest's answer is a verdict, for the role this site has.

use dr_watchdog_sdk::sections::Role;
use dr_watchdog_sdk::verdict::{Action, UnknownKeys, Verdict, VerdictState};
use serde_json::Value;

use super::{Engine, Failure, FailureKind};

/// The checked verdict, with warnings for what an old script may print and nobody else.
pub(super) fn check(engine: Engine, raw: &Value, role: Role) -> Result<(Verdict, Vec<String>), Failure> {
    let unknown = match engine {
        Engine::Lua | Engine::Native => UnknownKeys::Refuse,
        Engine::Script => UnknownKeys::Warn,
    };
    let (verdict, warnings) = Verdict::check(raw, unknown).map_err(|error| {
        let hint = match &error.nearest {
            Some(nearest) => format!("did you mean \"{nearest}\"?"),
            None => format!("{} must be {}", error.field, error.expected),
        };
        Failure::new(FailureKind::Verdict, format!("the verdict is not valid: {error}")).with_hint(hint)
    })?;
    if role == Role::Standalone && verdict.action != Action::Nothing {
        let message = format!(
            "the verdict is not valid: action: found \"{}\" at a standalone site, which has no other site",
            verdict.action.word()
        );
        return Err(Failure::new(FailureKind::Verdict, message)
            .with_hint("a policy is asked at an active or a standby site; elsewhere only nothing fits"));
    }
    let expected = VerdictState::from(role);
    if verdict.state != expected {
        let message = format!(
            "the verdict is not valid: state: found \"{}\", expected \"{}\", which is the role of this site",
            verdict.state.word(),
            expected.word()
        );
        return Err(Failure::new(FailureKind::Verdict, message).with_hint(
            "take the state from the role the policy is given; a policy never announces a new one",
        ));
    }
    Ok((verdict, warnings.iter().map(|warning| format!("the verdict: {warning}")).collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_unknown_key_is_refused_from_lua_and_plugins_and_a_warning_from_scripts() {
        let raw = json!({"state": "active", "acton": 1, "action": "nothing", "description": "", "payload": {"waitTime": ""}});
        for engine in [Engine::Lua, Engine::Native] {
            let failure = check(engine, &raw, Role::Active).unwrap_err();
            assert_eq!(failure.kind, FailureKind::Verdict);
            assert_eq!(failure.hint.as_deref(), Some("did you mean \"action\"?"));
        }
        let (_, warnings) = check(Engine::Script, &raw, Role::Active).unwrap();
        assert_eq!(warnings.len(), 1);
    }

    #[test]
    fn a_standalone_site_has_no_role_to_change() {
        let raw = |action: &str| json!({"state": "standby", "action": action, "description": "", "payload": {"waitTime": ""}});
        let failure = check(Engine::Lua, &raw("beActive"), Role::Standalone).unwrap_err();
        assert!(failure.message.contains("standalone"), "{failure}");
        assert!(check(Engine::Lua, &raw("nothing"), Role::Standalone).is_ok());
    }

    #[test]
    fn a_state_other_than_the_role_is_no_verdict() {
        let raw =
            json!({"state": "active", "action": "nothing", "description": "", "payload": {"waitTime": ""}});
        let failure = check(Engine::Script, &raw, Role::Standby).unwrap_err();
        assert!(failure.message.contains("found \"active\", expected \"standby\""), "{failure}");
        assert!(check(Engine::Script, &raw, Role::Active).is_ok());
    }
}
