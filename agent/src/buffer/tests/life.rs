//! Appending, reading, acknowledging, closing, opening again.

use uitwijk_proto::v1;

use super::*;

#[tokio::test]
async fn what_is_appended_comes_out_in_order_and_leaves_when_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let (buffer, _) = open(dir.path(), &["col-nl"]);
    assert_eq!(buffer.append(measurements(300)).first_sequence, 1);
    assert_eq!(buffer.append(measurements(10)).first_sequence, 301);
    assert!(buffer.sync().await);
    let Delivery::Batch(batch) = next(&mut buffer.reader("col-nl").unwrap()).await else { panic!("rows come first") };
    assert_eq!((batch.boot, batch.first_sequence, batch.count), (buffer.boot().0, 1, 310));
    let rows = Rows::from_batch(&batch, &Limits::default()).unwrap();
    assert_eq!(rows.row(299).unwrap().to_measurement(), measurement(299));
    assert_eq!(running(&buffer, "col-nl").buffered, 310);
    buffer.acknowledge("col-nl", buffer.boot(), 311);
    until("delivered", || running(&buffer, "col-nl").delivered == 310).await;
    until("removed", || buffer.counts().raw_bytes == 0).await;
}

#[tokio::test]
async fn a_reader_waits_for_what_is_not_there_yet() {
    let dir = tempfile::tempdir().unwrap();
    let (buffer, _) = open(dir.path(), &["col-nl"]);
    let mut reader = buffer.reader("col-nl").unwrap();
    let waiting = tokio::spawn(async move { next(&mut reader).await });
    tokio::task::yield_now().await;
    buffer.append(measurements(3));
    assert!(matches!(waiting.await.unwrap(), Delivery::Batch(batch) if batch.count == 3));
}

#[tokio::test]
async fn a_batch_keeps_to_the_limits_of_the_collector() {
    let dir = tempfile::tempdir().unwrap();
    let (buffer, _) = open(dir.path(), &["col-nl"]);
    for _ in 0..20 {
        buffer.append(measurements(100));
        assert!(buffer.sync().await);
    }
    let mut reader = buffer.reader("col-nl").unwrap();
    let mut counts = Vec::new();
    while counts.iter().sum::<u32>() < 2000 {
        let Some(Delivery::Batch(batch)) = reader.next(550, 1 << 20).await else { panic!("rows are left") };
        counts.push(batch.count);
    }
    assert_eq!(counts, [500, 500, 500, 500]);
}

#[tokio::test]
async fn each_collector_has_its_own_cursor_and_the_slowest_holds_the_records() {
    let dir = tempfile::tempdir().unwrap();
    let (buffer, _) = open(dir.path(), &["col-ie", "col-nl"]);
    buffer.append(measurements(50));
    let nl = drain(&buffer, "col-nl").await;
    assert_eq!(nl.rows.len(), 50);
    assert_eq!(running(&buffer, "col-nl").delivered, 50);
    assert_eq!(running(&buffer, "col-ie").buffered, 50);
    assert!(buffer.counts().raw_bytes > 0);
    assert_eq!(drain(&buffer, "col-ie").await, nl);
}

#[tokio::test]
async fn a_reader_ahead_gets_what_is_new_and_takes_nothing_from_the_one_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (buffer, _) = open(dir.path(), &["col-nl"]);
    buffer.append(measurements(100));
    assert!(buffer.sync().await);
    let mut ahead = buffer.reader_ahead("col-nl").unwrap();
    let asked = tokio::spawn(async move { next(&mut ahead).await });
    let mut appended = 100;
    while !asked.is_finished() {
        appended += buffer.append(measurements(1)).taken;
        assert!(buffer.sync().await);
    }
    let Delivery::Batch(new) = asked.await.unwrap() else { panic!("it tells of no gaps") };
    assert!(new.first_sequence > 100 && u64::from(new.count) < appended, "{}", new.first_sequence);
    let Delivery::Batch(old) = next(&mut buffer.reader("col-nl").unwrap()).await else { panic!("nothing is lost") };
    assert_eq!((old.first_sequence, u64::from(old.count)), (1, appended));
    assert_eq!(running(&buffer, "col-nl").buffered, appended, "what went ahead counts when the cursor passes it");
    buffer.acknowledge("col-nl", buffer.boot(), appended + 1);
    until("delivered", || running(&buffer, "col-nl").delivered == appended).await;
}

#[tokio::test]
async fn rewinding_goes_back_to_what_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let (buffer, _) = open(dir.path(), &["col-nl"]);
    for _ in 0..3 {
        buffer.append(measurements(10));
        assert!(buffer.sync().await);
    }
    let mut reader = buffer.reader("col-nl").unwrap();
    assert!(matches!(next(&mut reader).await, Delivery::Batch(batch) if batch.count == 30));
    buffer.acknowledge("col-nl", buffer.boot(), 11);
    until("acknowledged", || buffer.cursor("col-nl", buffer.boot()) == Some(11)).await;
    reader.rewind();
    assert!(
        matches!(next(&mut reader).await, Delivery::Batch(batch) if (batch.first_sequence, batch.count) == (11, 20))
    );
}

#[tokio::test]
async fn the_next_boot_delivers_what_the_last_one_left() {
    let dir = tempfile::tempdir().unwrap();
    let (buffer, _) = open(dir.path(), &["col-nl"]);
    buffer.append(measurements(20));
    assert!(buffer.sync().await);
    buffer.acknowledge("col-nl", buffer.boot(), 6);
    let first = buffer.boot();
    buffer.close().await;
    drop(buffer);

    let (buffer, report) = open(dir.path(), &["col-nl"]);
    assert_ne!(report.boot, first);
    assert_eq!(report.rows_kept, 15);
    buffer.append(measurements(2));
    buffer.sync().await;
    let ranges: Vec<_> = buffer.ranges("col-nl").iter().map(|r| (r.boot, r.first_sequence, r.next_sequence)).collect();
    assert_eq!(ranges, [(first.0, 6, 21), (report.boot.0, 1, 3)]);
    let received = drain(&buffer, "col-nl").await;
    assert_eq!(received.rows.iter().filter(|(boot, _)| *boot == report.boot).count(), 2);
    assert!(received.rows.contains(&(first, 20)) && received.told.is_empty());
    until("the old boot is forgotten", || buffer.books("col-nl").len() == 1).await;
}

#[tokio::test]
async fn the_running_boot_is_named_when_nothing_of_it_waits() {
    let dir = tempfile::tempdir().unwrap();
    let (buffer, _) = open(dir.path(), &["col-nl"]);
    let named = |next| [v1::BootRange { boot: buffer.boot().0, first_sequence: next, next_sequence: next }];
    assert_eq!(buffer.ranges("col-nl"), named(1));
    buffer.append(measurements(5));
    drain(&buffer, "col-nl").await;
    assert_eq!(buffer.ranges("col-nl"), named(6));
}

#[tokio::test]
async fn what_comes_after_closing_is_lost_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (buffer, _) = open(dir.path(), &["col-nl"]);
    buffer.append(measurements(5));
    buffer.close().await;
    assert_eq!(buffer.append(measurements(2)).lost, 2);
    assert!(!buffer.sync().await);
    assert_eq!(buffer.reader("col-nl").unwrap().next(10, 1000).await, None);
}

#[tokio::test]
async fn an_inbox_that_is_full_costs_measurements_not_time() {
    let dir = tempfile::tempdir().unwrap();
    let small = BufferOptions { waiting_rows_max: 100, commit_every: PATIENCE, ..options(dir.path(), &["col-nl"]) };
    let (buffer, _) = Buffer::open(small).unwrap();
    let appended = buffer.append(measurements(150));
    assert_eq!((appended.taken, appended.lost), (100, 50));
    assert!(buffer.sync().await);
    let books = running(&buffer, "col-nl");
    assert_eq!((books.started, books.buffered, books.unwritable), (150, 100, 50));
    assert_eq!(buffer.append(measurements(1)).first_sequence, 151);
    let received = drain(&buffer, "col-nl").await;
    assert_eq!((received.rows.len(), received.told.len()), (101, 50));
}

#[tokio::test]
async fn a_claim_to_have_more_than_was_made_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let (buffer, _) = open(dir.path(), &["col-nl"]);
    buffer.append(measurements(5));
    assert!(buffer.sync().await);
    buffer.acknowledge("col-nl", buffer.boot(), u64::MAX);
    buffer.acknowledge("nobody", buffer.boot(), 3);
    buffer.acknowledge("col-nl", BootId(1), 3);
    until("acknowledged", || running(&buffer, "col-nl").delivered == 5).await;
    assert!(buffer.reader("nobody").is_none());
}

#[tokio::test]
async fn a_collector_that_left_is_forgotten_and_a_new_one_gets_what_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (buffer, _) = open(dir.path(), &["col-ie", "col-nl"]);
    for _ in 0..2 {
        buffer.append(measurements(10));
        assert!(buffer.sync().await);
    }
    let first = buffer.boot();
    for collector in ["col-ie", "col-nl"] {
        buffer.acknowledge(collector, first, 11);
    }
    until("the first record left", || buffer.cursor("col-ie", first) == Some(11)).await;
    buffer.close().await;
    drop(buffer);

    let (buffer, report) = open(dir.path(), &["col-nl", "col-de"]);
    assert_eq!(report.forgotten, ["col-ie"]);
    assert!(buffer.books("col-ie").is_empty());
    let received = drain(&buffer, "col-de").await;
    assert_eq!(received.told, (1..11).map(|sequence| (first, sequence)).collect());
    assert_eq!(received.rows, (11..21).map(|sequence| (first, sequence)).collect());
    assert_eq!(drain(&buffer, "col-nl").await.told.len(), 0);
}

#[tokio::test]
async fn a_buffer_whose_owner_panicked_says_so_and_keeps_nobody_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path(), &["col-nl"]);
    let faults = options.faults.clone();
    let (buffer, _) = Buffer::open(options).unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), buffer.broken()).await.is_err(), "it is not broken");
    faults.panic_next();
    buffer.append(measurements(3));
    let bounded = Duration::from_secs(10);
    let synced = tokio::time::timeout(bounded, buffer.sync()).await.expect("a sync ends");
    assert!(!synced, "nothing was synced");
    tokio::time::timeout(bounded, buffer.broken()).await.expect("it is broken");
    tokio::time::timeout(bounded, buffer.close()).await.expect("a close ends");
}
