//! How can a process log to a pipe that nobody empties?
//!
//! Lines go through a bounded queue to a thread of their own. When the queue is full, lines are dropped and counted, and
//! the count is written as soon as lines flow again. Writing to stderr in place is simpler, but would stop the
//! probes of an agent whose log collector hangs.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait.
const LINES_MAX: usize = 8192;

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Front of the queue; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    sender: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

impl Lines {
    /// Starts the thread, which ends when the last front is gone.
    pub(crate) fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        Self::with_room(out, LINES_MAX)
    }

    fn with_room(out: impl Write + Send + 'static, lines_max: usize) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(lines_max);
        let dropped = Arc::new(AtomicU64::new(0));
        let count = dropped.clone();
        std::thread::Builder::new().name("log".to_owned()).spawn(move || write_all(&receiver, out, &count))?;
        Ok(Self { sender, dropped })
    }

    /// Lines dropped so far, whether or not that was written yet.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until what was queued is written, or the limit has passed.
    pub(crate) fn flush(&self, limit: Duration) {
        let (done, wait) = sync_channel(1);
        if self.sender.try_send(Message::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(limit);
        }
    }
}

fn write_all(receiver: &Receiver<Message>, mut out: impl Write, dropped: &AtomicU64) {
    let mut told = 0;
    for message in receiver {
        let lost = dropped.load(Ordering::Relaxed);
        if lost > told {
            let _ = writeln!(out, "{} log lines were dropped because nobody read them", lost - told);
            told = lost;
        }
        match message {
            // There is nobody to tell that the log cannot be written.
            Message::Line(line) => drop(out.write_all(&line)),
            Message::Flush(done) => {
                let _ = out.flush();
                let _ = done.try_send(());
            }
        }
    }
}

impl Write for Lines {
    /// One call is one line: the formatter hands over whole events.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.sender.try_send(Message::Line(line.to_vec()))
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::sync_channel;

    use super::*;

    /// Blocks until it is let go, then keeps what it gets.
    struct Pipe {
        gate: Receiver<()>,
        open: bool,
        text: Arc<Mutex<String>>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !self.open {
                let _ = self.gate.recv();
                self.open = true;
            }
            self.text.lock().unwrap().push_str(std::str::from_utf8(bytes).unwrap());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_reader_costs_lines_but_no_time_and_the_loss_is_told() {
        let (let_go, gate) = sync_channel(1);
        let text = Arc::new(Mutex::new(String::new()));
        let mut lines = Lines::with_room(Pipe { gate, open: false, text: text.clone() }, 4).unwrap();
        for i in 0..100 {
            lines.write_all(format!("line {i}\n").as_bytes()).unwrap();
        }
        let dropped = lines.dropped();
        // Four wait, and one is with the thread when it was quick enough.
        assert!((95..=96).contains(&dropped), "{dropped}");
        let_go.send(()).unwrap();
        // The queue is full until the thread has taken a line.
        while !text.lock().unwrap().contains("line 3\n") {
            std::thread::yield_now();
        }
        lines.write_all(b"later\n").unwrap();
        lines.flush(Duration::from_secs(10));
        let text = text.lock().unwrap();
        let told: u64 = text
            .lines()
            .filter_map(|line| line.strip_suffix(" log lines were dropped because nobody read them"))
            .map(|n| n.parse::<u64>().unwrap())
            .sum();
        assert_eq!(told, dropped, "{text}");
        assert!(text.ends_with("later\n"), "{text}");
    }
}
