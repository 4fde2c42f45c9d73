//! How is the collector reached, and as whom?

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use uitwijk_identity::{ClientOptions, Credentials, TlsFiles, channel};
use uitwijk_model::Clock;
use uitwijk_proto::v1::fleet_client::FleetClient;
use uitwijk_proto::v1::labels_client::LabelsClient;
use uitwijk_proto::v1::measurements_client::MeasurementsClient;
use uitwijk_proto::v1::policies_client::PoliciesClient;
use uitwijk_proto::v1::switches_client::SwitchesClient;
use uitwijk_proto::v1::verdicts_client::VerdictsClient;

use super::args::Reach;
use super::exit::OpsError;

/// No page of any answer is larger.
const MESSAGE_BYTES_MAX: usize = 32 << 20;

/// A collector that can be asked.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    url: String,
    channel: Channel,
    timeout: Duration,
}

impl Collector {
    pub(crate) async fn connect(reach: &Reach, clock: Arc<dyn Clock>) -> Result<Self, OpsError> {
        let url = match reach.collector.as_slice() {
            [url] => url.clone(),
            [] => return Err(no_collector()),
            several => return Err(OpsError::Usage(format!("{} collectors are too many: give one", several.len()))),
        };
        let file = |path: &Option<PathBuf>, option: &str, variable: &str| {
            path.clone().ok_or_else(|| missing("a certificate is needed", &format!("{option} FILE"), variable))
        };
        let files = TlsFiles {
            ca_file: file(&reach.tls_ca, "--tls-ca", "UITWIJK_TLS_CA")?,
            cert_file: file(&reach.tls_cert, "--tls-cert", "UITWIJK_TLS_CERT")?,
            key_file: file(&reach.tls_key, "--tls-key", "UITWIJK_TLS_KEY")?,
        };
        let credentials = Credentials::load(&files, clock).map_err(|error| OpsError::Usage(as_options(&error)))?;
        let timeout = Duration::from(reach.timeout);
        let options =
            ClientOptions { connect_timeout: timeout.min(Duration::from_secs(10)), ..ClientOptions::default() };
        let channel =
            channel(&url, credentials, options).await.map_err(|error| OpsError::from_connect(&url, &error))?;
        Ok(Self { url, channel, timeout })
    }

    pub(crate) fn fleet(&self) -> FleetClient<Channel> {
        FleetClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn verdicts(&self) -> VerdictsClient<Channel> {
        VerdictsClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn measurements(&self) -> MeasurementsClient<Channel> {
        MeasurementsClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn labels(&self) -> LabelsClient<Channel> {
        LabelsClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn policies(&self) -> PoliciesClient<Channel> {
        PoliciesClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn switches(&self) -> SwitchesClient<Channel> {
        SwitchesClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// A question with the time limit of the command line.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.timeout);
        request
    }

    /// The answer, or an error that names the collector.
    pub(crate) async fn answer<T>(
        &self,
        asking: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, OpsError> {
        // The server is told the limit too; this one holds when it does not care.
        let limit = self.timeout + Duration::from_secs(1);
        match tokio::time::timeout(limit, asking).await {
            Ok(answer) => answer.map(Response::into_inner).map_err(|status| self.failed(&status)),
            Err(_) => Err(self.failed(&Status::deadline_exceeded(""))),
        }
    }

    /// How long an answer may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn failed(&self, status: &Status) -> OpsError {
        OpsError::from_status(&self.url, status)
    }
}

pub(crate) fn no_collector() -> OpsError {
    missing("no collector to ask", "--collector https://HOST:PORT", "UITWIJK_COLLECTOR")
}

fn missing(what: &str, option: &str, variable: &str) -> OpsError {
    OpsError::Usage(format!("{what}: give {option} or set {variable}"))
}

/// The errors name keys of configuration files; here the same things are options.
fn as_options(error: &uitwijk_identity::CredentialsError) -> String {
    error
        .to_string()
        .replace("tls.ca_file", "--tls-ca")
        .replace("tls.cert_file", "--tls-cert")
        .replace("tls.key_file", "--tls-key")
}
