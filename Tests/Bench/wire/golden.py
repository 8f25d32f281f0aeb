"""Requests and what they are answered, worked out by hand from the descriptions of the protocols."""

KR = "--family kr-cu16 --no-pace"
A80 = "--family 8a80 --no-pace"
WINNSEN = "--family winnsen --no-pace"
WKLY = "--family wkly --boards 0 --lockers 4 --no-pace"
RTU = "--family modbus --no-pace"
KR_ASK, KR_CLOSED = "02 00 30 03 35", "02 00 35 FF FF 00 00 03 38"
KR_OPEN3, KR_OPENED3 = "02 02 31 03 38", "02 02 35 FB FF 00 00 03 36"
WKLY_OPEN1, WKLY_OPENED1 = "57 4B 4C 59 09 00 82 01 83", "57 4B 4C 59 0B 00 82 00 01 00 81"
WINNSEN_OPEN3, WINNSEN_OPENED3 = "90 06 05 01 03 03", "90 07 85 01 03 01 03"

GOLDEN = {
    "kr-cu16": (KR + " --boards 0,1", [
        (KR_ASK, KR_CLOSED),
        (KR_OPEN3, KR_OPENED3),
        ("02 1F 31 03 55", "02 1F 35 FF 7F 00 00 03 D7"),
        ("02 00 32 03 37", "02 00 35 FB FF 00 00 03 34"),
        ("02 00 30 03 36", ""),
        ("02 50 30 03 85", ""),
        ("FF FF " + KR_ASK, "02 00 35 FB FF 00 00 03 34"),
    ]),
    "8a80": (A80, [
        ("80 01 02 33 B0", "80 01 02 11 92"),
        ("8A 01 01 11 9B", "8A 01 01 00 8A"),
        ("80 01 01 33 B3", "80 01 01 00 80"),
        ("80 01 00 33 B2", "80 01 00 FF FE 33 B3"),
        ("8A 02 01 11 98", ""),
        ("8A 01 01 11 9C", ""),
    ]),
    "8a80-open-lowest": (A80 + " --active-is open --state-order lowest-first --lockers 32", [
        ("8A 01 01 11 9B", "8A 01 01 11 9B"),
        ("80 01 00 33 B2", "80 01 01 00 00 00 33 B3"),
    ]),
    "winnsen": (WINNSEN + " --cooldown-ms 60000", [
        ("90 06 12 01 03 03", "90 07 92 01 00 03 03"),
        (WINNSEN_OPEN3, WINNSEN_OPENED3),
        ("90 06 12 01 03 03", "90 07 92 01 01 03 03"),
        (WINNSEN_OPEN3, "90 07 85 01 03 02 03"),
        ("90 06 05 01 63 03", "90 07 85 01 63 00 03"),
        ("90 06 05 02 03 03", ""),
    ]),
    "wkly": (WKLY, [
        (WKLY_OPEN1, WKLY_OPENED1),
        ("57 4B 4C 59 09 00 83 02 81", "57 4B 4C 59 0B 00 83 00 02 01 82"),
        ("57 4B 4C 59 08 00 84 85", "57 4B 4C 59 0E 00 84 00 04 00 01 01 01 86"),
        ("57 4B 4C 59 09 00 82 09 8B", "57 4B 4C 59 0B 00 82 FF 09 01 77"),
        ("57 4B 4C 59 09 00 82 01 84", ""),
    ]),
    "modbus-waveshare": (RTU + " --profile waveshare-relay-8", [
        # The first three are printed in the maker's manual.
        ("01 05 02 00 00 07 8D B0", "01 05 02 00 00 07 8D B0"),
        ("01 05 00 00 FF 00 8C 3A", "01 05 00 00 FF 00 8C 3A"),
        ("01 05 00 00 00 00 CD CA", "01 05 00 00 00 00 CD CA"),
        ("01 02 00 00 00 08 79 CC", "01 02 01 01 60 48"),
        ("01 05 00 00 00 00 CD CB", ""),
    ]),
    "modbus-tcp": ("--family modbus --profile generic-coil-8", [
        ("00 01 00 00 00 06 01 05 00 02 FF 00", "00 01 00 00 00 06 01 05 00 02 FF 00"),
        ("00 02 00 00 00 06 01 02 00 00 00 08", "00 02 00 00 00 04 01 02 01 04"),
        ("00 03 00 00 00 06 01 01 00 00 00 08", "00 03 00 00 00 04 01 01 01 04"),
        ("00 04 00 00 00 06 01 02 00 00 00 09", "00 04 00 00 00 03 01 82 02"),
        ("00 05 00 00 00 06 01 05 00 02 12 34", "00 05 00 00 00 03 01 85 03"),
        ("00 06 00 00 00 06 01 06 00 02 00 01", "00 06 00 00 00 03 01 86 01"),
        ("00 07 00 00 00 06 02 02 00 00 00 08", ""),
    ]),
}

# What each fault makes of a request: family, fault, request, reply (a pattern), coils that fire.
FAULTS = [
    (KR, "silence", KR_OPEN3, "", 0),
    (KR, "reply-lost", KR_OPEN3, "", 1),
    (KR, "garbage", KR_OPEN3, f"(?!{KR_OPENED3}).+", 1),
    (KR, "noise=FF00", KR_OPEN3, "FF 00 " + KR_OPENED3, 1),
    (KR, "bad-check", KR_OPEN3, "02 02 35 FB FF 00 00 03 (?!36)..", 1),
    (KR, "half", KR_OPEN3, "02 02 35 FB", 1),
    (KR, "refuse", KR_OPEN3, "", 0),
    (A80, "other-address", "8A 01 01 11 9B", "8A 02 01 00 89", 1),
    (A80, "other-lock", "8A 01 01 11 9B", "8A 01 02 00 89", 1),
    (A80, "jam", "8A 01 01 11 9B", "8A 01 01 11 9B", 1),
    (WINNSEN, "duplicate", WINNSEN_OPEN3, f"(?!{WINNSEN_OPENED3}).+", 1),
    (WINNSEN, "ignored", WINNSEN_OPEN3, WINNSEN_OPENED3, 0),
    (WINNSEN, "refuse", WINNSEN_OPEN3, "90 07 85 01 03 00 03", 0),
    (WINNSEN, "bad-check", WINNSEN_OPEN3, "90 07 85 01 03 01 (?!03)..", 1),
    (WKLY, "refuse", WKLY_OPEN1, "57 4B 4C 59 0B 00 82 FF 01 01 7F", 0),
    (WKLY, "stuck-sensor=closed,lock=1", WKLY_OPEN1, "57 4B 4C 59 0B 00 82 00 01 01 80", 1),
    (WKLY, "local-echo", WKLY_OPEN1, WKLY_OPEN1 + " " + WKLY_OPENED1, 1),
    (RTU, "refuse=6", "01 05 00 02 FF 00 2D FA", "01 85 06 C2 92", 0),
    (RTU, "refuse", "01 05 00 02 FF 00 2D FA", "01 85 02 C3 51", 0),
    (RTU, "bad-check", "01 05 00 02 FF 00 2D FA", "01 05 00 02 FF 00 (?!2D FA).. ..", 1),
    (RTU, "other-lock", "01 05 00 02 FF 00 2D FA", "01 05 00 03 FF 00 7C 3A", 1),
]
