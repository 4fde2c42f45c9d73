//! What was started, as a witness other than the buffer says?
//!
//! With `record.file` set, every measurement gets a line there before the buffer gets the measurement, by a plain write: what was
//! written is in the hands of the system and outlives a kill of the process. `uitwijk ledger --started` compares the file with a
//! store. The witness must not be able to stop what it watches: while a write takes long, lines wait in memory, up to a limit, and
//! measurements go on; a write that fails, and lines beyond the limit, are lost and counted.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use uitwijk_model::{AgentId, BootId, Clock, Measurement, Sequence};
use uitwijk_proto::started::Started;

use crate::config::RecordConfig;
use crate::metrics::AgentMetrics;

/// A disk that takes longer for a few lines is left alone until it has taken them.
const WRITE_WITHIN: Duration = Duration::from_secs(1);
/// Bytes of lines that wait for such a disk, about four thousand lines.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// Why lines are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Failed,
    Slow,
    Full,
}

impl Missing {
    const fn label(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Slow => "slow",
            Self::Full => "full",
        }
    }
}

type Written = Result<(), Missing>;

/// The record of one boot.
pub(super) struct StartedFile {
    agent: AgentId,
    boot: BootId,
    clock: Arc<dyn Clock>,
    metrics: Arc<AgentMetrics>,
    /// Absent while a write has it.
    sink: Option<Sink>,
    writing: Option<JoinHandle<(Sink, Written)>>,
    /// Lines for when the write is over, and how many.
    waiting: (String, usize),
    /// How many lines the write has.
    written: usize,
    /// Told once, until lines are written again.
    told: bool,
}

impl StartedFile {
    /// Nothing when nobody asked for a record.
    pub(super) fn of(
        config: &RecordConfig,
        agent: &AgentId,
        boot: BootId,
        clock: &Arc<dyn Clock>,
        metrics: &Arc<AgentMetrics>,
    ) -> Option<Self> {
        let sink = Sink { path: config.file.clone()?, bytes_max: config.bytes_max.0, open: None };
        let (agent, clock, metrics) = (agent.clone(), clock.clone(), metrics.clone());
        let (waiting, written) = ((String::new(), 0), 0);
        Some(Self { agent, boot, clock, metrics, sink: Some(sink), writing: None, waiting, written, told: false })
    }

    /// Writes a line for each measurement, the first of which has this sequence.
    pub(super) async fn write(&mut self, first: Sequence, rows: &[Measurement]) {
        let now = self.clock.wall();
        let line = |(sequence, m)| Started::of(&self.agent, self.boot, sequence, m, now).to_line();
        let text = (first..).zip(rows).map(line).collect::<Result<String, _>>();
        match text {
            Ok(text) => self.hand_over(&text, rows.len()).await,
            Err(_) => self.count(Err(Missing::Failed), rows.len()),
        }
    }

    async fn hand_over(&mut self, text: &str, rows: usize) {
        if let Some(late) = self.writing.take_if(|writing| writing.is_finished()) {
            self.ended(late.await.ok());
        }
        if self.waiting.0.len() + text.len() > WAITING_BYTES_MAX {
            return self.count(Err(Missing::Slow), rows);
        }
        self.waiting.0.push_str(text);
        self.waiting.1 += rows;
        let Some(mut sink) = self.sink.take() else { return };
        let (text, rows) = std::mem::take(&mut self.waiting);
        self.written = rows;
        let mut writing = tokio::task::spawn_blocking(move || {
            let written = sink.write(&text);
            (sink, written)
        });
        match tokio::time::timeout(WRITE_WITHIN, &mut writing).await {
            Ok(ended) => self.ended(ended.ok()),
            Err(_) => self.writing = Some(writing),
        }
    }

    /// A write is over; without a result its thread is gone, and the file with it.
    fn ended(&mut self, write: Option<(Sink, Written)>) {
        let (sink, written) = write.map_or((None, Err(Missing::Failed)), |(sink, written)| (Some(sink), written));
        self.sink = sink;
        self.count(written, self.written);
    }

    fn count(&mut self, written: Written, rows: usize) {
        let Err(missing) = written else {
            self.told = false;
            return;
        };
        self.metrics.unrecorded(missing.label(), rows as u64);
        if !std::mem::replace(&mut self.told, true) {
            tracing::error!(
                reason = missing.label(),
                "record.file takes no lines; measurements go on without a record"
            );
        }
    }
}

/// The file.
struct Sink {
    path: PathBuf,
    bytes_max: u64,
    /// With its size; opened anew after a failure.
    open: Option<(File, u64)>,
}

impl Sink {
    fn write(&mut self, text: &str) -> Written {
        let (mut file, size) = match self.open.take() {
            Some(open) => open,
            None => open(&self.path).map_err(|_| Missing::Failed)?,
        };
        let after = size + text.len() as u64;
        if after > self.bytes_max {
            self.open = Some((file, size));
            return Err(Missing::Full);
        }
        // One write: a kill comes before or after it, not within.
        file.write_all(text.as_bytes()).map_err(|_| Missing::Failed)?;
        self.open = Some((file, after));
        Ok(())
    }
}

/// Opens at the end; half a line of an earlier start is closed first, so that ours begin on lines of their own.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let mut size = file.seek(SeekFrom::End(0))?;
    if size > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            size += 1;
        }
    }
    Ok((file, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink(path: PathBuf, bytes_max: u64) -> Sink {
        Sink { path, bytes_max, open: None }
    }

    /// A pipe that nobody reads takes no more at some point, as a disk does that hangs.
    #[tokio::test]
    async fn lines_wait_for_a_disk_that_takes_long() {
        use std::os::fd::OwnedFd;
        let (mut reader, writer) = io::pipe().unwrap();
        let metrics = Arc::new(AgentMetrics::default());
        let sink = Sink {
            path: PathBuf::from("unused"),
            bytes_max: u64::MAX,
            open: Some((File::from(OwnedFd::from(writer)), 0)),
        };
        let mut file = StartedFile {
            agent: AgentId::new("nl-1").unwrap(),
            boot: BootId(1),
            clock: Arc::new(uitwijk_model::SystemClock),
            metrics,
            sink: Some(sink),
            writing: None,
            waiting: (String::new(), 0),
            written: 0,
            told: false,
        };
        let long = format!("{}\n", "x".repeat(200_000));
        file.hand_over(&long, 1).await;
        assert!(file.sink.is_none(), "the write hangs");
        for n in 0..5 {
            file.hand_over(&format!("{n}\n"), 1).await;
        }
        let read = std::thread::spawn(move || {
            let mut all = String::new();
            reader.read_to_string(&mut all).map(|_| all)
        });
        while file.sink.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
            file.hand_over("later\n", 1).await;
        }
        assert!(!file.told, "nothing was lost");
        drop(file);
        let all = read.join().unwrap().unwrap();
        assert!(all.starts_with(&format!("{long}0\n1\n2\n3\n4\nlater\n")), "{}", &all[200_000..]);
    }

    #[test]
    fn half_a_line_of_an_earlier_start_stays_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("started");
        std::fs::write(&path, "one\nha").unwrap();
        sink(path.clone(), 100).write("two\n").unwrap();
        sink(path.clone(), 100).write("three\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\nha\ntwo\nthree\n");
    }

    #[test]
    fn a_file_does_not_grow_past_its_limit_and_a_broken_one_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("later").join("started");
        let mut sink = sink(path.clone(), 8);
        assert_eq!(sink.write("one\n"), Err(Missing::Failed), "there is no such folder");
        std::fs::create_dir(dir.path().join("later")).unwrap();
        assert_eq!([sink.write("two\n"), sink.write("three\n")], [Ok(()), Err(Missing::Full)]);
        assert_eq!(sink.write("end\n"), Ok(()), "a shorter one still fits");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\nend\n");
    }
}
