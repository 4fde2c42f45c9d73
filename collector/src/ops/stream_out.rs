//! Where does a stream of measurements go, and is it packed?

use std::fs::File;
use std::io::{self, BufWriter, Write};

use uitwijk_replay::{Record, write_record};

use super::args::ToFile;
use super::exit::OpsError;
use super::screen::Screen;

/// A stream that is being written.
pub(crate) struct StreamOut<'a> {
    out: Out<'a>,
    name: String,
}

enum Out<'a> {
    Plain(Box<dyn Write + 'a>),
    Packed(Box<zstd::Encoder<'static, Box<dyn Write + 'a>>>),
}

impl<'a> StreamOut<'a> {
    /// Opens the file, or takes stdout.
    pub(crate) fn open(screen: &'a mut Screen<'_>, to: &ToFile) -> Result<Self, OpsError> {
        let name = to.out.as_ref().map_or_else(|| "stdout".to_owned(), |path| path.display().to_string());
        let plain: Box<dyn Write + 'a> = match &to.out {
            None => Box::new(screen.bytes()),
            Some(path) => {
                let file = File::create(path).map_err(|error| OpsError::Usage(format!("{name}: {error}")))?;
                Box::new(BufWriter::new(file))
            }
        };
        let out = if to.zstd { Out::Packed(Box::new(packed(plain)?)) } else { Out::Plain(plain) };
        Ok(Self { out, name })
    }

    /// Writes one record.
    pub(crate) fn record(&mut self, record: &Record) -> Result<(), OpsError> {
        let written = match &mut self.out {
            Out::Plain(out) => write_record(out, record),
            Out::Packed(out) => write_record(out, record),
        };
        written.map_err(|error| self.failed(error))
    }

    /// Ends the stream.
    pub(crate) fn finish(self) -> Result<(), OpsError> {
        let name = self.name.clone();
        let ended = match self.out {
            Out::Plain(mut out) => out.flush(),
            Out::Packed(out) => out.finish().and_then(|mut out| out.flush()),
        };
        ended.map_err(|error| failed(&name, error))
    }

    fn failed(&self, error: io::Error) -> OpsError {
        failed(&self.name, error)
    }
}

fn packed<'a>(out: Box<dyn Write + 'a>) -> io::Result<zstd::Encoder<'static, Box<dyn Write + 'a>>> {
    zstd::Encoder::new(out, 0)
}

/// A reader of a pipe that has seen enough is no failure; anything else names the file.
fn failed(name: &str, error: io::Error) -> OpsError {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return OpsError::Output(error);
    }
    OpsError::Output(io::Error::new(error.kind(), format!("{name}: {error}")))
}
