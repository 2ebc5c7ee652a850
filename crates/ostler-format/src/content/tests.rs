//! Known headers and ids of content objects, and what is refused.

use super::*;

fn header(mode: u32, target: &str) -> FileHeader {
    FileHeader {
        uid: 0,
        gid: 0,
        mode,
        symlink_target: target.into(),
        xattrs: Xattrs::default(),
    }
}

fn with_xattr(mut header: FileHeader, name: &str, value: &str) -> FileHeader {
    header.xattrs = Xattrs::new(vec![(name.into(), value.into())]).unwrap();
    header
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap())
        .collect()
}

/// Checks the start of a `.filez` against known bytes, and reads it back.
fn assert_archive(header: &FileHeader, size: u64, known: &str) {
    let bytes = header.to_archive(size);
    assert_eq!(bytes, unhex(known));
    let (prefix, rest) = bytes.split_first_chunk().unwrap();
    assert_eq!(FileHeader::parse_archive_prefix(prefix), Ok(rest.len()));
    assert_eq!(FileHeader::parse_archive_header(rest), Ok((header.clone(), size)));
}

#[test]
fn a_regular_file_has_the_known_bytes_and_id() {
    let file = header(0o100_644, "");
    let hashed = "00000012 00000000 00000000 00000000 000081a4 00000000 00 11";
    assert_eq!(file.to_hash_prefix(), unhex(hashed));
    let id = "81381808c56d4f3d643ec12f6a18fcf2993af8daba7c2a1b2cbfc315b39424c6";
    assert_eq!(file.checksum_of(b"hello world\n").to_string(), id);
    let archive = "0000001a00000000 000000000000000c 00000000 00000000 000081a4 00000000 00 19";
    assert_archive(&file, 12, archive);
}

#[test]
fn an_empty_file_has_the_known_bytes_and_id() {
    let file = header(0o100_600, "");
    let id = "d3fa9214de0816a2cf5475da17be2036ae0eda3df526eff7c1ddee082c6e5b58";
    assert_eq!(file.checksum_of(b"").to_string(), id);
    let archive = "0000001a 00000000 0000000000000000 00000000 00000000 00008180 00000000 00 19";
    assert_archive(&file, 0, archive);
}

#[test]
fn a_symbolic_link_has_the_known_bytes_and_id() {
    let link = header(0o120_777, "hello.txt");
    assert!(link.is_symlink() && !link.is_regular());
    let hashed = "0000001b 00000000 00000000 00000000 0000a1ff 00000000 68656c6c6f2e74787400 1a";
    assert_eq!(link.to_hash_prefix(), unhex(hashed));
    let id = "f66efa496a72379413c44593de510dc344beb045294f1a543da87b2b6118db35";
    assert_eq!(link.checksum_of(b"").to_string(), id);
    let archive =
        "00000023 00000000 0000000000000000 00000000 00000000 0000a1ff 00000000 68656c6c6f2e74787400 22";
    assert_archive(&link, 0, archive);
}

#[test]
fn an_executable_has_the_known_id() {
    let id = "172a2017590ff78c34c5d3ad417e393e24b829a7da80c05c32339d0115e116bb";
    assert_eq!(
        header(0o100_755, "")
            .checksum_of(b"#!/bin/sh\nexit 0\n")
            .to_string(),
        id
    );
}

#[test]
fn a_file_with_an_attribute_has_the_known_bytes_and_id() {
    let file = with_xattr(header(0o100_644, ""), "user.b", "B1");
    let id = "5d9285a46102a918497b03018ebe27a589f7415a5a32c267b7dc284d1c54b319";
    assert_eq!(file.checksum_of(b"xa\n").to_string(), id);
    let archive = "00000025 00000000 0000000000000003 00000000 00000000 000081a4 00000000 00
                   757365722e6200 4231 07 0a 19";
    assert_archive(&file, 3, archive);
}

#[test]
fn ostreemeta_has_the_known_bytes() {
    let mut file = with_xattr(header(0o104_711, ""), "user.z", "1");
    (file.uid, file.gid) = (1000, 7);
    assert_eq!(
        file.to_ostreemeta(),
        unhex("000003e8 00000007 000089c9 757365722e7a00 31 07 09")
    );
    assert_eq!(
        FileHeader::from_ostreemeta(&file.to_ostreemeta(), String::new()),
        Ok(file)
    );
    let mut link = header(0o120_777, "tgt");
    (link.uid, link.gid) = (1000, 7);
    assert_eq!(link.to_ostreemeta(), unhex("000003e8 00000007 0000a1ff"));
    assert_eq!(
        FileHeader::from_ostreemeta(&link.to_ostreemeta(), "tgt".into()),
        Ok(link)
    );
}

#[test]
fn ostreemeta_with_attributes_out_of_order_is_sorted() {
    let unsorted = unhex("00000000 00000000 000081a4 6200 02 6100 02 03 06");
    let file = FileHeader::from_ostreemeta(&unsorted, String::new()).unwrap();
    let names: Vec<_> = file.xattrs.iter().map(|(name, _)| name.to_vec()).collect();
    assert_eq!(names, [b"a", b"b"]);
}

#[test]
fn other_types_and_mismatched_targets_are_refused() {
    let long = "a".repeat(4096);
    for bad in [
        header(0o644, ""),
        header(0o040_755, ""),
        header(0o060_644, ""),
        header(0o010_644, ""),
        header(0o140_644, ""),
        header(0o1_100_644, ""),
        header(0o100_644, "target"),
        header(0o120_777, ""),
        header(0o120_777, &long),
    ] {
        assert!(bad.check().is_err(), "{bad:?}");
        let bytes = bad.to_archive(0);
        assert!(FileHeader::parse_archive_header(&bytes[8..]).is_err(), "{bad:?}");
        assert!(FileHeader::from_ostreemeta(&bad.to_ostreemeta(), bad.symlink_target).is_err());
    }
    assert!(header(0o120_777, "a\0b").check().is_err());
    assert!(header(0o107_777, "").check().is_ok());
}

#[test]
fn devices_and_impossible_sizes_are_refused() {
    let good = header(0o100_644, "").to_archive(5)[8..].to_vec();
    assert!(FileHeader::parse_archive_header(&good).is_ok());
    let mut device = good.clone();
    device[23] = 1;
    assert!(FileHeader::parse_archive_header(&device).is_err());
    let huge = header(0o100_644, "").to_archive(1 << 63);
    assert!(FileHeader::parse_archive_header(&huge[8..]).is_err());
    let link = header(0o120_777, "a").to_archive(1);
    assert!(FileHeader::parse_archive_header(&link[8..]).is_err());
    for length in 0..good.len() {
        assert!(
            FileHeader::parse_archive_header(&good[..length]).is_err(),
            "{length}"
        );
    }
}

#[test]
fn prefixes_without_length_with_padding_or_beyond_the_limit_are_refused() {
    let read = |prefix: [u8; 8]| FileHeader::parse_archive_prefix(&prefix);
    assert_eq!(read([0, 0, 0, 26, 0, 0, 0, 0]), Ok(26));
    assert_eq!(read([0, 16, 0, 0, 0, 0, 0, 0]), Ok(1 << 20));
    for bad in [
        [0; 8],
        [0, 0, 0, 26, 0, 0, 0, 1],
        [0, 16, 0, 1, 0, 0, 0, 0],
        [255, 255, 255, 255, 0, 0, 0, 0],
    ] {
        assert!(read(bad).is_err(), "{bad:?}");
    }
}
