//! Panics of a Rust policy end at the boundary, as a failure with message, with place.

use dr_watchdog_sdk::abi::{PluginTable, status, wrappers};
use dr_watchdog_sdk::testing::{ScriptedHost, context};
use dr_watchdog_sdk::{Context, Host, Policy, PolicyError, Role, Situation, Verdict};
use serde_json::json;

use super::super::call;
use super::super::evaluations::HOST_TABLE;
use super::super::loader::{Functions, Library};
use crate::policy::FailureKind;

/// Panics where its configuration says.
struct Fragile {
    place: String,
}

impl Drop for Fragile {
    fn drop(&mut self) {
        assert_ne!(self.place, "drop", "the policy panics while it is dropped");
    }
}

impl Policy for Fragile {
    const NAME: &'static str = "fragile";
    const VERSION: &'static str = "1";
    const VENDOR: &'static str = "";
    const CONTACT: &'static str = "support@example.com";
    const LICENSE: &'static str = "";
    type Config = String;

    fn create(place: String) -> Result<Self, PolicyError> {
        assert_ne!(place, "create", "the policy panics while it is made");
        Ok(Self { place })
    }

    fn evaluate(&self, _: &Context, _: &dyn Host) -> Result<Verdict, PolicyError> {
        match self.place.as_str() {
            "error" => Err(PolicyError { hint: Some("turn it".to_owned()), ..PolicyError::new("wrong way") }),
            "payload" => std::panic::panic_any(7),
            place => panic!("the policy panics in {place}"),
        }
    }

    fn cancel(&self) {
        panic!("the policy panics while it is cancelled");
    }
}

fn library() -> Library {
    let mut table = PluginTable {
        size: size_of::<PluginTable>() as u32,
        reserved: 0,
        describe: None,
        create: None,
        evaluate: None,
        cancel: None,
        destroy: None,
    };
    // SAFETY: the host's table is static, the plugin's has its full size.
    let opened = unsafe { wrappers::open::<Fragile>(&raw const HOST_TABLE, &raw mut table) };
    assert_eq!(opened, status::OK);
    Library {
        functions: Functions {
            describe: table.describe.unwrap(),
            create: table.create.unwrap(),
            evaluate: table.evaluate.unwrap(),
            cancel: table.cancel.unwrap(),
            destroy: table.destroy.unwrap(),
        },
        name: Fragile::NAME.to_owned(),
        version: Fragile::VERSION.to_owned(),
        contact: Fragile::CONTACT.to_owned(),
    }
}

#[test]
fn a_panic_becomes_a_failure_with_its_message_its_place_and_whom_to_tell() {
    let instance = call::create(&library(), &json!("evaluate")).unwrap();
    let host = ScriptedHost::default();
    for _ in 0..3 {
        let failure = instance.evaluate(&context(Role::Active, Situation::PeerLost), &host).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Runtime);
        assert!(failure.message.starts_with("panicked at "), "{failure}");
        assert!(failure.message.contains("panics.rs:"), "{failure}");
        assert!(failure.message.ends_with("the policy panics in evaluate"), "{failure}");
        assert_eq!(failure.hint.as_deref(), Some("tell its vendor: support@example.com"));
    }
}

#[test]
fn a_panic_anywhere_else_does_not_leave_the_plugin_either() {
    let failure = call::create(&library(), &json!("create")).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Load);
    assert!(failure.message.contains("the policy panics while it is made"), "{failure}");
    let instance = call::create(&library(), &json!("drop")).unwrap();
    instance.cancel();
    drop(instance);
    let instance = call::create(&library(), &json!("payload")).unwrap();
    let context = context(Role::Active, Situation::PeerLost);
    let failure = instance.evaluate(&context, &ScriptedHost::default()).unwrap_err();
    assert!(failure.message.ends_with("no message"), "{failure}");
}

#[test]
fn an_error_of_the_policy_crosses_with_its_hint() {
    let instance = call::create(&library(), &json!("error")).unwrap();
    let context = context(Role::Active, Situation::PeerLost);
    let host = ScriptedHost::default();
    host.remaining_ms.set(1_000);
    let failure = instance.evaluate(&context, &host).unwrap_err();
    assert_eq!(
        (failure.kind, failure.message.as_str(), failure.hint.as_deref()),
        (FailureKind::Runtime, "wrong way", Some("turn it"))
    );
}
