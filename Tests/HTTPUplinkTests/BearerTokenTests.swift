import Foundation
import LockerKit
import LockerKitTesting
import Logging
import TestSupport
import Testing

@testable import HTTPUplink

@Suite struct BearerTokenTests {
    private let log = LogRecorder()
    private let files: FileReader

    init() {
        files = FileReader(logger: log.logger)
    }

    private func refusal(_ path: String) async -> String {
        do {
            _ = try await files.token(at: path)
            return ""
        } catch {
            #expect(error.code == .invalidRequest)
            return error.message
        }
    }

    @Test(arguments: ["s3cret", "s3cret\n", "  s3cret \r\n\n", "\ts3cret"])
    func `white space around the token is ignored`(contents: String) async throws {
        try await withTemporaryDirectory { folder in
            try write(contents, to: "\(folder)/token", mode: 0o600)
            #expect(try await files.token(at: "\(folder)/token").secret == "s3cret")
        }
    }

    @Test(arguments: [
        ("", "is empty"), (" \n\t", "is empty"), ("two words", "more than one word"),
        ("a\nb", "more than one word"), ("tok\u{0}en", "no header can carry"),
        ("törn", "no header can carry"),
    ])
    func `a file without a usable token is refused`(contents: String, word: String) async throws {
        try await withTemporaryDirectory { folder in
            try write(contents, to: "\(folder)/token", mode: 0o600)
            let message = await refusal("\(folder)/token")
            #expect(message.contains(word), "\(message)")
            #expect(message.contains("\(folder)/token"))
            #expect(!message.contains("örn"))
        }
    }

    @Test(arguments: [0o620, 0o602, 0o666])
    func `a file that others may write to is refused`(mode: Int) async throws {
        try await withTemporaryDirectory { folder in
            try write("s3cret", to: "\(folder)/token", mode: mode)
            #expect(await refusal("\(folder)/token").contains("written to by others"))
        }
    }

    @Test(arguments: [(0o600, false), (0o640, false), (0o400, false), (0o644, true), (0o444, true)])
    func `a file that everybody may read is taken, with one warning`(
        mode: Int, isWarned: Bool
    ) async throws {
        try await withTemporaryDirectory { folder in
            try write("s3cret", to: "\(folder)/token", mode: mode)
            for _ in 0..<3 {
                #expect(try await files.token(at: "\(folder)/token").secret == "s3cret")
            }
            #expect(log.lines.map(\.level) == (isWarned ? [.warning] : []))
            #expect(log.lines.allSatisfy { $0.message.contains("\(folder)/token may be read") })
            #expect(!log.lines.contains { $0.message.contains("s3cret") })
        }
    }

    @Test(.enabled(if: getuid() == 0, "only root can give a file away"))
    func `a file of somebody else is refused`() async throws {
        try await withTemporaryDirectory { folder in
            try write("s3cret", to: "\(folder)/token", mode: 0o600)
            #expect(chown("\(folder)/token", 65534, 0) == 0)
            #expect(await refusal("\(folder)/token").contains("belongs to uid 65534; want root"))
        }
    }

    @Test func `a file may have 8192 bytes and no more`() async throws {
        try await withTemporaryDirectory { folder in
            let longest = String(repeating: "x", count: BearerToken.largestFile)
            try write(longest, to: "\(folder)/token", mode: 0o600)
            #expect(try await files.token(at: "\(folder)/token").secret == longest)
            try write(longest + "x", to: "\(folder)/token", mode: 0o600)
            #expect(await refusal("\(folder)/token").contains("longer than 8192 bytes"))
        }
    }

    @Test func `what is no regular file is refused without waiting for it`() async throws {
        try await withTemporaryDirectory { folder in
            #expect(mkfifo("\(folder)/fifo", 0o600) == 0)
            #expect(await refusal("\(folder)/fifo").contains("not a regular file"))
            #expect(await refusal(folder).contains("not a regular file"))
            #expect(await refusal("\(folder)/none").contains("no such file or directory"))
        }
    }

    @Test func `a token does not print`() throws {
        let token = try BearerToken(contents: "s3cret".utf8, file: "f")
        var dumped = ""
        dump(token, to: &dumped)
        for text in ["\(token)", String(reflecting: token), dumped, "\([token])"] {
            #expect(!text.contains("s3cret"), "\(text)")
        }
    }

    @Test(arguments: [
        ("0123456789abcdef", "you sent 0123456789abcdef, which is wrong", true),
        ("0123456789abcdef", "unknown token 456789ab…", true),
        ("0123456789abcdef", "unknown token 456789a", false), ("short", "no short one", true),
        ("short", "no shor one", false), ("0123456789abcdef", "", false),
    ])
    func `a text that tells a part of the token is noticed`(
        secret: String, text: String, isHinted: Bool
    ) throws {
        let token = try BearerToken(contents: secret.utf8, file: "f")
        #expect(token.isHinted(in: Array(text.utf8)) == isHinted)
    }
}
