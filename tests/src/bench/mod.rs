//! Measurements that `dr-watchdog-bench` prints.

pub mod command;
pub mod cost;
pub mod decision;
pub mod endurance;
pub mod fleet;
pub mod fuzz;
pub mod idle;
pub mod policies;
pub mod size;
pub mod ssh;
pub mod sweep;

/// The middle of some figures.
///
/// # Panics
/// When there is none.
pub fn median(mut figures: Vec<f64>) -> f64 {
    assert!(!figures.is_empty(), "nothing was measured");
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Prints one figure beside its bar; whether it is met.
pub fn print(what: &str, found: f64, unit: &str, bar: &str, is_met: bool) -> bool {
    let verdict = if is_met { "met" } else { "MISSED" };
    println!("{what:<64} {found:>10.2} {unit:<6} bar {bar:<10} {verdict}");
    is_met
}

/// Prints one figure that has no bar.
pub fn tell(what: &str, found: f64, unit: &str) {
    println!("{what:<64} {found:>10.2} {unit}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![5.0]), 5.0);
    }
}
