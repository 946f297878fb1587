//! The macro that makes a compiled policy out of a type.

/// Exports a [`Policy`](crate::Policy) from a `cdylib`: the two symbols `drw_plugin_manifest` and
/// `drw_plugin_open`.
///
/// A library exports one policy. It must be built with `panic = "unwind"`, the default: a panic is caught inside
/// the plugin and costs one verdict, where an abort would cost the worker.
///
/// ```
/// use dr_watchdog_sdk::{Context, Host, Policy, PolicyError, Verdict, drw_export};
///
/// struct NeverMoves;
///
/// impl Policy for NeverMoves {
///     const NAME: &'static str = "never-moves";
///     const VERSION: &'static str = "1.0.0";
///     const VENDOR: &'static str = "Example Ltd";
///     const CONTACT: &'static str = "support@example.com";
///     const LICENSE: &'static str = "Apache-2.0";
///     type Config = std::collections::BTreeMap<String, String>;
///
///     fn create(_config: Self::Config) -> Result<Self, PolicyError> {
///         Ok(Self)
///     }
///
///     fn evaluate(&self, context: &Context, _host: &dyn Host) -> Result<Verdict, PolicyError> {
///         Ok(Verdict::nothing(context.role.into(), "this policy never moves"))
///     }
/// }
///
/// drw_export!(NeverMoves);
/// ```
#[macro_export]
macro_rules! drw_export {
    ($policy:ty) => {
        #[cfg(panic = "abort")]
        compile_error!(
            "a dr-watchdog policy needs panic = \"unwind\": the SDK catches a panic inside the plugin; remove panic = \"abort\" from the profile"
        );
        $crate::__drw_symbols!($policy);
    };
}
