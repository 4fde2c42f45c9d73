//! How is a list got, a page at a time?

use super::args::Page;
use super::exit::OpsError;
use super::screen::Screen;

/// What the API gives at a time.
const PAGE_MAX: u32 = 1000;

/// Items of a list, and the token to go on with; empty at its end.
pub(crate) type Part<T> = (Vec<T>, String);

/// Asks for page after page, by size and token, until the list or the limit is reached.
pub(crate) async fn collect<T>(
    page: &Page,
    mut fetch: impl AsyncFnMut(u32, String) -> Result<Part<T>, OpsError>,
) -> Result<Part<T>, OpsError> {
    let (mut found, mut token) = (Vec::new(), page.page_token.clone().unwrap_or_default());
    let mut left = page.limit;
    while left > 0 {
        let (items, next) = fetch(left.min(PAGE_MAX), token).await?;
        left = left.saturating_sub(u32::try_from(items.len()).unwrap_or(u32::MAX));
        found.extend(items);
        token = next;
        if token.is_empty() {
            break;
        }
    }
    Ok((found, token))
}

/// Tells how to go on, when there is more.
pub(crate) fn more(screen: &mut Screen<'_>, token: &str) -> Result<(), OpsError> {
    if token.is_empty() {
        return Ok(());
    }
    screen.note(&format!("there are more: --limit, or go on with --page-token {token}"))
}
