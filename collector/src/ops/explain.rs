//! How does a verdict read to somebody who was not there?

use super::args::{Known, Language};
use super::connect::Collector;
use super::exit::{Answer, OpsError};
use super::screen::Screen;
use super::{details, json};

pub(crate) async fn run(
    screen: &mut Screen<'_>,
    collector: &Collector,
    episode: &str,
    (revision, known): (Option<u32>, &Known),
    language: Language,
) -> Result<Answer, OpsError> {
    let (verdict, _) = details::get(collector, episode, revision, known.as_of_us()?).await?;
    if screen.json {
        screen.object(&json::verdict(&verdict))?;
        return Ok(Answer::Yes);
    }
    let text = match language {
        Language::En => &verdict.explanation,
        Language::Nl => &verdict.explanation_nl,
    };
    if text.is_empty() {
        return Err(OpsError::Failed(format!(
            "the collector sent no explanation of {episode}; `uitwijk verdicts show` has the evidence"
        )));
    }
    screen.paragraphs(text)?;
    Ok(Answer::Yes)
}
