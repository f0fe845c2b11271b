//! Prints scenarios and subjects and why they exist.

use anyhow::Result;

use crate::report::format::bytes;
use crate::scenario::layout::{Kind, plan};
use crate::{scenario, subject, workspace};

/// Prints them; always true.
///
/// # Errors
/// When a file is invalid.
pub fn run() -> Result<bool> {
    let dir = workspace::root()?.join("scenarios");
    println!("Scenarios:");
    for scenario in scenario::load_all(&dir)? {
        let nodes = plan(&scenario, 42);
        let size = |kind: &Kind| if let Kind::File { size, .. } = kind { *size } else { 0 };
        let total: u64 = nodes.iter().map(|n| size(&n.kind)).sum();
        println!("\n  {} ({} entries, {})", scenario.name, nodes.len(), bytes(Some(total as f64)));
        println!("    {}", scenario.why.trim());
        for claim in &scenario.claims {
            let phase = scenario.phase.as_deref().unwrap_or_default();
            println!("    Decides of phase {phase}: {} ({})", claim.part, claim.metric.word());
        }
    }
    println!("\nSubjects:");
    for subject in subject::load(&dir)? {
        println!("\n  {}\n    {}", subject.name, subject.why.trim());
    }
    Ok(true)
}
