//! Folders of pictures: every kind of file, sizes, channels, labels, what is broken, and the cache.

use image::{DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat, codecs::jpeg::JpegEncoder};
use proptest::prelude::*;
use scorefield_data::{
    Batches, Categorical, ChannelPolicy, Codec, DataError, Dataset, Fit, LabelSource, OpenOptions, Shape, open, open_with,
};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

fn opened(path: &Path, options: &OpenOptions) -> Result<Dataset, DataError> {
    open(&path.display().to_string(), options)
}

fn plain(path: &Path) -> Dataset {
    opened(path, &OpenOptions::default()).unwrap()
}

fn refused(path: &Path, options: &OpenOptions) -> String {
    opened(path, options).unwrap_err().to_string()
}

fn row(data: &Dataset, i: usize) -> Vec<f32> {
    let mut row = vec![0.0; data.shape().len()];
    data.row(i, &mut row);
    row
}

fn image(channels: usize, height: usize, width: usize) -> Shape {
    Shape::Image { channels, height, width }
}

fn rgb(width: u32, height: u32, colour: [u8; 3]) -> DynamicImage {
    image::RgbImage::from_pixel(width, height, image::Rgb(colour)).into()
}

fn grey(width: u32, height: u32, level: u8) -> DynamicImage {
    image::GrayImage::from_pixel(width, height, image::Luma([level])).into()
}

fn save(folder: &Path, name: &str, picture: &DynamicImage) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    picture.save(path).unwrap();
}

/// A JPEG of these pixels whose camera was turned.
fn turned(picture: &DynamicImage, orientation: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let pixels = picture.to_rgb8();
    JpegEncoder::new_with_quality(&mut bytes, 100)
        .write_image(&pixels, pixels.width(), pixels.height(), ExtendedColorType::Rgb8)
        .unwrap();
    // A TIFF header and one entry: tag 0x112 (orientation), one 16-bit number.
    let exif = [b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0", &[orientation, 0, 0, 0, 0, 0, 0, 0][..]].concat();
    let segment = [&[0xFF, 0xE1][..], &(exif.len() as u16 + 2).to_be_bytes(), &exif].concat();
    [&bytes[..2], &segment, &bytes[2..]].concat()
}

#[test]
fn every_kind_of_file_is_read() {
    for ending in ["png", "jpg", "webp", "bmp", "gif"] {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), &format!("a.{ending}"), &rgb(16, 8, [200, 100, 30]));
        let data = plain(folder.path());
        assert_eq!(data.shape(), image(3, 8, 16), "{ending}");
        let pixels = row(&data, 0);
        for (c, level) in [200.0, 100.0, 30.0].into_iter().enumerate() {
            assert!((pixels[c * 128 + 64] - level).abs() <= 6.0, "{ending}: {}", pixels[c * 128 + 64]);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), "a.png", &image::ImageBuffer::from_pixel(2, 2, image::Luma([0x8000u16])).into());
    assert_eq!((row(&plain(folder.path()), 0), plain(folder.path()).shape()), (vec![128.0; 4], image(1, 2, 2)));
}

/// A camera on its side: what was left is above (orientation 6 turns by 90 degrees clockwise).
#[test]
fn the_rotation_that_a_camera_noted_is_applied() {
    let picture = image::RgbImage::from_fn(16, 8, |x, _| image::Rgb(if x < 8 { [0; 3] } else { [255; 3] }));
    for (orientation, shape, first_dark) in [(1, image(1, 8, 16), true), (6, image(1, 16, 8), true), (3, image(1, 8, 16), false)]
    {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.jpg"), turned(&picture.clone().into(), orientation)).unwrap();
        let data = opened(folder.path(), &OpenOptions { channels: ChannelPolicy::Grey, ..Default::default() }).unwrap();
        assert_eq!(data.shape(), shape, "{orientation}");
        let pixels = row(&data, 0);
        assert_eq!((pixels[0] < 60.0, pixels[127] > 195.0), (first_dark, first_dark), "{orientation}: {pixels:?}");
    }
}

#[test]
fn channels_are_what_most_pictures_have() {
    let folder = tempfile::tempdir().unwrap();
    let f = folder.path();
    (0..3).for_each(|i| save(f, &format!("g{i}.png"), &grey(2, 2, 50)));
    save(f, "c0.png", &rgb(2, 2, [255, 0, 0]));
    let data = plain(f);
    assert_eq!((data.shape(), data.channels()), (image(1, 2, 2), &["grey".to_owned()][..]));
    assert!(data.report().notes.iter().any(|n| n.starts_with("1 of 4 pictures have colour")), "{:?}", data.report());
    (1..3).for_each(|i| save(f, &format!("c{i}.png"), &rgb(2, 2, [0, 255, 0])));
    let data = plain(f);
    assert_eq!(data.shape(), image(3, 2, 2));
    assert!(data.report().notes.iter().any(|n| n.starts_with("3 of 6 pictures are grey")), "{:?}", data.report());
    save(f, "t.png", &image::RgbaImage::from_pixel(2, 2, image::Rgba([10, 20, 30, 0])).into());
    let data = plain(f);
    assert_eq!(data.shape(), image(4, 2, 2));
    assert!(data.report().notes.iter().any(|n| n.starts_with("1 of 7 pictures have transparency")), "{:?}", data.report());
    assert_eq!(row(&data, 6), [vec![10.0; 4], vec![20.0; 4], vec![30.0; 4], vec![0.0; 4]].concat());
    for (channels, expected, last) in [
        (ChannelPolicy::Grey, 1, vec![255.0; 4]),
        (ChannelPolicy::Rgb, 3, vec![255.0; 12]),
        (ChannelPolicy::Rgba, 4, row(&data, 6)),
        (ChannelPolicy::OnBackground([7; 3]), 3, vec![7.0; 12]),
    ] {
        let data = opened(f, &OpenOptions { channels, ..Default::default() }).unwrap();
        assert_eq!((data.shape(), row(&data, 6)), (image(expected, 2, 2), last), "{channels:?}");
    }
}

#[test]
fn several_sizes_need_a_rule() {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), "a.png", &grey(4, 2, 9));
    save(folder.path(), "b.png", &grey(4, 2, 9));
    save(folder.path(), "c.png", &grey(3, 3, 9));
    let error = refused(folder.path(), &OpenOptions::default());
    assert!(error.contains("4x2 (2), 3x3 (1)") && error.contains("--set data.size="), "{error}");
    for fit in [Fit::Crop, Fit::Pad, Fit::Stretch] {
        let data = opened(folder.path(), &OpenOptions { size: Some([4, 2]), fit, ..Default::default() }).unwrap();
        assert_eq!(data.shape(), image(1, 4, 2));
        assert!(data.report().notes[0].starts_with("3 of 3 pictures were brought to 2x4"), "{:?}", data.report());
    }
    let error = refused(folder.path(), &OpenOptions { size: Some([0, 2]), ..Default::default() });
    assert!(error.contains("[0, 2]"), "{error}");
}

#[test]
fn sub_folders_are_classes() {
    let folder = tempfile::tempdir().unwrap();
    let f = folder.path();
    save(f, "dog/a.png", &grey(1, 1, 1));
    save(f, "cat/deep/b.png", &grey(1, 1, 2));
    save(f, ".hidden/c.png", &grey(1, 1, 3));
    let data = plain(f);
    assert_eq!((data.classes(), data.len()), (&["cat".to_owned(), "dog".into()][..], 2));
    assert_eq!((row(&data, 0), data.label(0), data.label(1)), (vec![2.0], Some(0), Some(1)));
    let none = opened(f, &OpenOptions { labels: LabelSource::None, ..Default::default() }).unwrap();
    assert!(none.classes().is_empty() && none.label(0).is_none());
    save(f, "beside.png", &grey(1, 1, 3));
    std::fs::write(f.join("cat/old.tiff"), "unread").unwrap();
    let mixed = plain(f);
    assert!(mixed.classes().is_empty());
    let notes = mixed.report().notes.join("; ");
    assert!(notes.contains("1 pictures lie beside") && notes.contains("1 files are pictures of kinds"), "{notes}");
    let error = refused(f, &OpenOptions { labels: LabelSource::Folders, ..Default::default() });
    assert!(error.contains("beside.png") && error.contains("sub-folder"), "{error}");
}

#[test]
fn a_table_gives_classes() {
    let folder = tempfile::tempdir().unwrap();
    let f = folder.path();
    for (name, level) in [("a.png", 1), ("x/b.png", 2), ("x/c.png", 3), ("y/c.png", 4)] {
        save(f, name, &grey(1, 1, level));
    }
    let table = |text: &str| fs::write(f.join("labels.csv"), text).unwrap();
    table("file,label\na.png,10\nb.png,9\nx/c.png,10\ngone.png,3\n");
    let data = plain(f);
    assert_eq!(data.classes(), ["9", "10"], "in the order of numbers");
    assert_eq!((0..3).map(|i| (row(&data, i)[0], data.label(i).unwrap())).collect::<Vec<_>>(), [(1.0, 1), (2.0, 0), (3.0, 1)]);
    let report = data.report();
    assert_eq!((report.found, report.used, report.skipped[0].0.as_str()), (4, 3, "y/c.png"));
    assert!(report.notes.iter().any(|n| n.starts_with("1 rows of")), "{report:?}");
    for (text, found) in [
        ("a.png,1\nc.png,2\n", "several pictures named c.png"),
        ("a.png,1\na.png,2\n", "a.png is \"2\", and \"1\" further up"),
        ("a.png,\n", "empty label"),
        ("a.png\n", "line 1 with 1 cells"),
        ("file,label\nz.png,1\n", "names z.png"),
        ("", "no file at all"),
    ] {
        table(text);
        let error = refused(f, &OpenOptions::default());
        assert!(error.contains(found) && error.contains("labels.csv"), "{error}");
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("t.csv");
    fs::write(&path, "a.png,cat\n").unwrap();
    assert_eq!(opened(f, &OpenOptions { labels: LabelSource::Csv(path), ..Default::default() }).unwrap().classes(), ["cat"]);
}

/// A text renamed, a file cut short and an empty one are each named; more than one in a hundred is an error.
#[test]
fn broken_pictures_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let f = folder.path();
    (0..300).for_each(|i| save(f, &format!("{i:03}.png"), &grey(1, 1, (i % 256) as u8)));
    fs::write(f.join("text.png"), "no picture at all").unwrap();
    let whole = fs::read(f.join("000.png")).unwrap();
    fs::write(f.join("cut.png"), &whole[..whole.len() / 2]).unwrap();
    fs::write(f.join("empty.png"), "").unwrap();
    let data = plain(f);
    let skipped: Vec<_> = data.report().skipped.iter().map(|s| s.0.as_str()).collect();
    assert_eq!((data.len(), data.report().found, skipped), (300, 303, vec!["cut.png", "empty.png", "text.png"]));
    fs::write(f.join("one-more.png"), "").unwrap();
    let error = refused(f, &OpenOptions::default());
    assert!(error.contains("4 of 304") && error.contains("cut.png: ") && error.contains("at most 1 %"), "{error}");
}

/// Rows, labels, report, fingerprint and batches are the same from the cache as from memory; a second opening decodes nothing.
#[test]
fn the_cache_is_as_good_as_memory() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = folder.path().join("pictures");
    for i in 0..40u8 {
        save(&pictures, &format!("{}/{i}.png", if i % 3 == 0 { "a" } else { "b" }), &rgb(5, 4, [i, 2 * i, 3 * i]));
    }
    let options = OpenOptions { size: Some([3, 3]), ..Default::default() };
    let memory = opened(&pictures, &options).unwrap();
    let beside = folder.path().join("pictures.scorefield-cache");
    assert!(!beside.exists());

    let small = OpenOptions { memory_limit: 100, ..options.clone() };
    let seen = AtomicU64::new(0);
    let spec = pictures.display().to_string();
    let count = |done: u64, total: u64| {
        assert!(done <= total && total == 80);
        seen.fetch_max(done, Ordering::Relaxed);
    };
    let first = open_with(&spec, &small, &count).unwrap();
    assert_eq!((seen.swap(0, Ordering::Relaxed), beside.exists()), (80, true));
    let second = open_with(&spec, &small, &count).unwrap();
    assert_eq!(seen.swap(0, Ordering::Relaxed), 0, "nothing is decoded again");
    let codec = Codec::fit(&memory, &Default::default()).unwrap();
    for cached in [&first, &second] {
        assert_eq!((cached.fingerprint(), cached.report()), (memory.fingerprint(), memory.report()));
        assert_eq!((cached.classes(), cached.shape(), cached.bounds()), (memory.classes(), memory.shape(), memory.bounds()));
        (0..40).for_each(|i| assert_eq!((row(cached, i), cached.label(i)), (row(&memory, i), memory.label(i))));
        assert_eq!(Codec::fit(cached, &Default::default()).unwrap(), codec);
        let of = |data| Batches::new(data, &codec, 3, 16).flip(true).at(7);
        assert_eq!(of(cached), of(&memory));
    }

    // Other options, a picture more, a file cut short: built again.
    let stretch = open_with(&spec, &OpenOptions { fit: Fit::Stretch, ..small.clone() }, &count).unwrap();
    assert_eq!((seen.swap(0, Ordering::Relaxed), stretch.len()), (80, 40));
    open_with(&spec, &small, &count).unwrap();
    assert_eq!(seen.swap(0, Ordering::Relaxed), 80);
    let bytes = fs::read(&beside).unwrap();
    drop((first, second, stretch));
    fs::remove_file(&beside).unwrap();
    fs::write(&beside, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(open_with(&spec, &small, &count).unwrap().fingerprint(), memory.fingerprint());
    assert_eq!(seen.swap(0, Ordering::Relaxed), 80);
    save(&pictures, "a/new.png", &rgb(5, 4, [1, 2, 3]));
    assert_eq!(opened(&pictures, &small).unwrap().len(), 41);

    // By request, at a place that is named.
    let cache = folder.path().join("elsewhere/rows");
    let always = OpenOptions { always_cache: true, cache: Some(cache.clone()), ..options };
    assert_eq!(opened(&pictures, &always).unwrap().fingerprint(), opened(&pictures, &small).unwrap().fingerprint());
    assert!(cache.is_file());
}

/// Options survive the formats of recipes.
#[test]
fn options_are_written_and_read() {
    let options = OpenOptions {
        size: Some([8, 9]),
        fit: Fit::Pad,
        channels: ChannelPolicy::OnBackground([1, 2, 3]),
        labels: LabelSource::Csv("a.csv".into()),
        cache: Some("b".into()),
        always_cache: true,
        memory_limit: 7,
        categorical: Categorical::Names(vec!["grey".into()]),
        binarise: Some(0.25),
        condition: Some("columns:a,b".parse().unwrap()),
    };
    for options in [options, OpenOptions::default()] {
        let text = serde_json::to_string(&options).unwrap();
        assert_eq!(serde_json::from_str::<OpenOptions>(&text).unwrap(), options, "{text}");
    }
    let read = |text: &str| serde_json::from_str::<OpenOptions>(text).unwrap();
    assert_eq!(read(r#"{"channels": "rgb", "fit": "pad"}"#).channels, ChannelPolicy::Rgb);
    assert!(serde_json::from_str::<OpenOptions>(r#"{"chanels": "rgb"}"#).is_err());
}

fn encoded(format: ImageFormat) -> Vec<u8> {
    let picture = image::RgbImage::from_fn(9, 7, |x, y| image::Rgb([x as u8 * 20, y as u8 * 30, 77]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    DynamicImage::from(picture).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A damaged picture is decoded or named, never a panic.
    #[test]
    fn damaged_pictures(
        kind in 0usize..6,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..5),
        cut in any::<prop::sample::Index>(),
        whole: bool,
    ) {
        use ImageFormat::{Bmp, Gif, Jpeg, Png, WebP};
        let mut bytes = match kind {
            5 => turned(&rgb(9, 7, [1, 2, 3]), 6),
            kind => encoded([Png, Jpeg, WebP, Bmp, Gif][kind]),
        };
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if !whole {
            bytes.truncate(cut.index(bytes.len()));
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.png"), &bytes).unwrap();
        match opened(folder.path(), &OpenOptions { size: Some([4, 4]), ..Default::default() }) {
            Ok(data) => prop_assert_eq!(data.len(), 1),
            Err(error) => prop_assert!(matches!(error, DataError::Broken { broken: 1, .. }), "{}", error),
        }
    }
}

/// Pictures of a public set of sprites, stored with their channels last, with labels beside.
#[test]
#[ignore = "needs ../shared (dcss_tiles)"]
fn sprites_of_four_channels() {
    let shared = std::env::var_os("SCOREFIELD_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), std::path::PathBuf::from);
    let data = plain(&shared.join("data/dcss_tiles"));
    assert_eq!((data.len(), data.shape(), data.classes().len()), (4194, image(4, 32, 32), 8));
    assert_eq!(data.channels()[3], "alpha");
}
