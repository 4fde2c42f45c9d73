//! How is scoring called?

use std::path::PathBuf;

use clap::Args as ClapArgs;

#[derive(Debug, ClapArgs)]
pub(crate) struct Score {
    /// Labelled scenarios, one JSON object per line; may be repeated
    #[arg(long, value_name = "FILE", required_unless_present = "random", conflicts_with = "random")]
    pub(crate) scenarios: Vec<PathBuf>,
    /// Play each scenario with these seeds: 7, or 1..20 for 1 to 20
    #[arg(long, value_name = "SEEDS", default_value = "1", conflicts_with = "random")]
    pub(crate) seeds: String,
    /// Draw so many random worlds instead
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) random: Option<u32>,
    /// Seed of the first of them
    #[arg(long, value_name = "N", default_value = "1", requires = "random")]
    pub(crate) seed: u64,
    /// Draw worlds in which only observers have trouble
    #[arg(long, requires = "random")]
    pub(crate) quiet: bool,
    /// all, ours, or names of rules with commas between, such as route53,majority
    #[arg(long, value_name = "RULES", default_value = "all")]
    pub(crate) rules: String,
    /// Lay this over the judge's policy: a file with keys of `policy` in a plan. The labels and the rules of others stay
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// List the intervals that the judge got wrong, or those of the rules that were named
    #[arg(long)]
    pub(crate) wrong: bool,
}
