//! At which moments does the power go, and what is asked of the disk then?

use std::path::Path;

use anyhow::{Context as _, ensure};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::disk::{Disk, Fate};
use super::recorder::{can_record, home, record};
use super::trace::Call;

/// Cuts by chance in each life, besides those at syncs.
const CUTS: u32 = 60;
/// Calls at the beginning of a life on a disk that was cut, each of which is followed by a cut by chance: what a start mends is itself not safe yet.
const START: usize = 32;
/// Cuts that fail before no more are looked at.
const FAILURES_MAX: usize = 3;
/// Tells a child which of its lives this is.
const LIFE: &str = "POWER_LIFE";

/// A process that works on its disk, again and again, each time on what a cut left of the last.
pub(crate) struct Story<'a> {
    pub(crate) name: &'a str,
    /// The test that is run as the child.
    pub(crate) child: &'a str,
    pub(crate) lives: u64,
    /// The cuts by chance, as a share of the usual number.
    pub(crate) share: f64,
    /// The name of the folders in which the sync of a new file keeps its name; empty for none.
    pub(crate) kind: &'static str,
    /// Of the moments at which something became safe, each so many-th is looked at.
    pub(crate) every: usize,
}

/// What a check is told: where the disk is, what was said up to the cut, and what would have been said next.
pub(crate) struct Cut<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) said: &'a [String],
    pub(crate) next: Option<&'a str>,
}

/// Which life of a child this is.
pub(crate) fn life() -> u64 {
    number(LIFE).unwrap_or(0)
}

fn number<T: std::str::FromStr>(variable: &str) -> Option<T> {
    std::env::var(variable).ok()?.parse().ok()
}

impl Story<'_> {
    /// Plays the lives and asks `check` after every cut; does nothing where calls cannot be recorded, and says so.
    pub(crate) fn play(&self, check: impl Fn(&Cut<'_>) -> anyhow::Result<()>) -> anyhow::Result<()> {
        if !can_record(self.name) {
            return Ok(());
        }
        let seed: u32 = number("POWER_SEED").unwrap_or_else(rand::random);
        println!("{}: POWER_SEED={seed}", self.name);
        let mut luck = StdRng::seed_from_u64(u64::from(seed));
        let home = home()?;
        let (mut dir, mut said) = (home.path().join("0"), Vec::new());
        std::fs::create_dir(&dir)?;
        for life in 0..self.lives {
            let before = Disk::of(&dir, self.kind)?;
            let calls = record(self.child, &dir, &[(LIFE, life.to_string())])?;
            dir = home.path().join((life + 1).to_string());
            let mut played =
                Played { story: self, life, luck: &mut luck, check: &check, moments: 0, cuts: 0, failed: Vec::new() };
            said = played.live(before, &calls, said, &dir)?;
            let (cuts, failed) = (played.cuts, played.failed);
            println!("{}: life {life}: {} calls, {cuts} cuts, {} failed", self.name, calls.len(), failed.len());
            ensure!(failed.is_empty(), "{}", failed.join("\n\n"));
        }
        Ok(())
    }
}

/// A life that is being cut.
struct Played<'a, C> {
    story: &'a Story<'a>,
    life: u64,
    luck: &'a mut StdRng,
    check: &'a C,
    moments: usize,
    cuts: usize,
    failed: Vec<String>,
}

impl<C: Fn(&Cut<'_>) -> anyhow::Result<()>> Played<'_, C> {
    /// Cuts a life when something became safe, and by chance. One of the cuts leaves the disk of the next life; what was said up to
    /// there comes back.
    fn live(
        &mut self,
        mut disk: Disk,
        calls: &[Call],
        mut said: Vec<String>,
        next: &Path,
    ) -> anyhow::Result<Vec<String>> {
        let chance = f64::from(number("POWER_CUTS").unwrap_or(CUTS)) * self.story.share;
        let chance = (chance / f64::from(u32::try_from(calls.len())?.max(1))).min(1.0);
        let last = self.luck.random_range(calls.len() / 2..calls.len());
        let (mut safe, mut kept) = (0, Vec::new());
        for (i, call) in calls.iter().enumerate() {
            disk.apply(call)?;
            if let Call::Said(text) = call {
                said.push(text.clone());
            }
            let is_news = matches!(call, Call::Said(_)) || disk.changes() != safe;
            safe = disk.changes();
            self.moments += usize::from(is_news);
            let mut fates = Vec::new();
            if is_news && self.moments.is_multiple_of(self.story.every) {
                fates.push(Fate::Lost);
            }
            if (self.life > 0 && i < START) || self.luck.random_bool(chance) {
                fates.push(Fate::Chance(self.luck.random()));
            }
            if self.luck.random_bool(chance / 10.0) {
                fates.push(Fate::Kept);
            }
            let next_said =
                || calls[i + 1..].iter().find_map(|c| if let Call::Said(text) = c { Some(&**text) } else { None });
            for fate in fates {
                self.cut(&disk, fate, &said, next_said(), i)?;
            }
            if i == last {
                let fate = Fate::Chance(self.luck.random());
                self.cut(&disk, fate, &said, next_said(), i)?;
                disk.write_out(fate, next)?;
                kept.clone_from(&said);
            }
            if self.failed.len() >= FAILURES_MAX {
                break;
            }
        }
        Ok(kept)
    }

    fn cut(&mut self, disk: &Disk, fate: Fate, said: &[String], next: Option<&str>, at: usize) -> anyhow::Result<()> {
        self.cuts += 1;
        let place = home()?;
        let dir = place.path().join("disk");
        disk.write_out(fate, &dir)?;
        let asked = (self.check)(&Cut { dir: &dir, said, next });
        let Err(error) = asked else { return Ok(()) };
        // What was opened has changed; the disk as it was is worth more.
        std::fs::remove_dir_all(&dir)?;
        disk.write_out(fate, &dir).context("keep the disk")?;
        let (kept, last) = (place.keep().join("disk"), said.last().map_or("nothing", String::as_str));
        let told = format!("after call {at}, {fate:?}: {error:#}\n  last said: {last}\n  the disk: {}", kept.display());
        self.failed.push(told);
        Ok(())
    }
}
