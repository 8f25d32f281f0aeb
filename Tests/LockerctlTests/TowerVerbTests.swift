import Foundation
import JSONLines
import TestSupport
import Testing

/// `lockerctl tower`: keys and tokens in files, without a daemon.
@Suite struct `Keys and tokens of a tower` {
    private func lockerctl(
        _ words: String...
    ) async throws -> (status: Int32, out: String, err: String) {
        let process = try ChildProcess(Checkout.program("lockerctl"), ["tower"] + words)
        let status = try await process.exitStatus()
        return (status, process.standardOutput, process.standardError)
    }

    private func secrets(_ path: String) throws -> [String] {
        let json = try JSONReader.parse(String(contentsOfFile: path, encoding: .utf8))
        return (json["keys"]?.arrayValue ?? []).compactMap { $0["secret"]?.stringValue }
    }

    @Test func `are made, taken, let go out and revoked`() async throws {
        try await withTemporaryDirectory { folder in
            let (keys, token) = ("\(folder)/keys", "\(folder)/token")
            let missing = try await lockerctl("token", keys, "--locker", "3")
            #expect(missing.status == 1 && missing.err.contains("lockerctl tower key \(keys)"))
            #expect(try await lockerctl("key", keys).status == 2)
            let made = try await lockerctl("key", keys, "--tower", "0100000000000175")
            #expect(made.status == 0 && made.out == "1.1  installed\n", "\(made.err)")
            var facts = stat()
            #expect(stat(keys, &facts) == 0 && facts.st_mode & 0o777 == 0o600)

            let opens = try await lockerctl(
                "token", keys, "--locker", "3", "--client", "order 4711", "--for", "60")
            #expect(opens.status == 0, "\(opens.err)")
            try write(opens.out, to: token)
            let checked = try await lockerctl("check", keys, token)
            #expect(checked.status == 0 && checked.out.hasPrefix("open  locker 3  good for "))

            // The next rotation: what was made before is taken for a while, and what is revoked is not.
            let next = try await lockerctl("key", keys, "--overlap", "100", "--json")
            #expect(next.out.contains(#"{"id":1,"rotation":1,"until":"#), "\(next.out)")
            #expect(try await lockerctl("check", keys, token).status == 0)
            #expect(try await lockerctl("key", keys, "--revoke", "1.1").status == 0)
            let refused = try await lockerctl("check", keys, token)
            #expect(
                refused.status == 1
                    && refused.err.contains("refused: key 1, rotation 1 is revoked"),
                "\(refused.err)")
            #expect(try await lockerctl("key", keys, "--revoke", "1.9").status == 1)

            let secrets = try secrets(keys)
            #expect(secrets.count == 2 && Set(secrets).count == 2)
            for said in [made, opens, checked, next, refused] {
                for secret in secrets {
                    #expect(!said.out.contains(secret) && !said.err.contains(secret))
                }
            }
        }
    }

    @Test(.enabled(if: Checkout.whyNoPeers == nil || Checkout.isCI, "\(Checkout.whyNoPeers ?? "")"))
    func `are taken by a tower that shares no code with them`() async throws {
        try await withTemporaryDirectory { folder in
            let (keys, token, other) = ("\(folder)/keys", "\(folder)/token", "\(folder)/other")
            func tower(_ keys: String) async throws -> String {
                let process = try ChildProcess(
                    Checkout.python,
                    ["\(Checkout.root)/Tests/Bench/tower/check_token.py", keys, token])
                _ = try await process.exitStatus(within: .seconds(30))
                return process.standardOutput
            }
            #expect(try await lockerctl("key", keys, "--tower", "0100000000000175").status == 0)
            #expect(try await lockerctl("key", other, "--tower", "0100000000000176").status == 0)
            try write(
                try await lockerctl("token", keys, "--locker", "14", "--client", "ü").out,
                to: token)
            let opened = try JSONReader.parse(try await tower(keys))
            #expect(opened["kind"]?.stringValue == "openLockerPayload")
            #expect(opened["lockerID"]?.intValue == 14 && opened["clientInfo"]?.stringValue == "ü")
            #expect(try await tower(other) == "refused: not authentic\n")
            try write(
                try await lockerctl(
                    "token", keys, "--session", "pickup,technician", "--client", "kiosk"
                ).out, to: token)
            let session = try JSONReader.parse(try await tower(keys))
            #expect(
                session["permissions"] == [1, 4] && session["clientID"]?.stringValue == "kiosk")
            let seed = try JSONReader.parse(String(contentsOfFile: token, encoding: .utf8))
            #expect(session["sessionSeed"] == seed["sessionSeed"])
        }
    }

    @Test func `are not touched where others may read them, or nothing can be made of them`()
        async throws
    {
        try await withTemporaryDirectory { folder in
            let keys = "\(folder)/keys"
            #expect(try await lockerctl("key", keys, "--tower", "0100000000000175").status == 0)
            let before = try String(contentsOfFile: keys, encoding: .utf8)
            let other = try await lockerctl("key", keys, "--tower", "0100000000000176")
            #expect(other.err.contains("is of tower 0100000000000175"))
            chmod(keys, 0o640)
            let open = try await lockerctl("token", keys, "--locker", "1")
            #expect(open.status == 1 && open.err.contains("chmod 600 \(keys)"), "\(open.err)")
            chmod(keys, 0o600)
            #expect(try String(contentsOfFile: keys, encoding: .utf8) == before)
            let secret = try #require(try secrets(keys).first)
            for (text, problem) in [
                ("{", "want one JSON object"), ("{}", "tower: want sixteen"),
                (before.replacing("installed", with: "new"), "keys[0].state: want installed"),
                (before.replacing(secret, with: "beef"), "keys[0].secret: want 64"),
                (before.replacing("\"id\":1", with: "\"id\":-1"), "keys[0]: want an id"),
            ] {
                try write(text, to: keys)
                chmod(keys, 0o600)
                let found = try await lockerctl("token", keys, "--locker", "1")
                #expect(found.status == 1 && found.err.contains(problem), "\(found.err)")
                #expect(!found.err.contains(secret) && !found.err.contains("beef"))
            }
            #expect(try await lockerctl("token", keys).status == 2)
            #expect(try await lockerctl("key", keys, "--tower", "17").status == 2)
        }
    }
}
