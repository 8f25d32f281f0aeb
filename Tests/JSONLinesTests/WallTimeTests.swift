import SiteModel
import TestSupport
import Testing

@Suite struct WallTimeTests {
    @Test func readsLikePythonsCalendar() async throws {
        var random = SeededGenerator(seed: 5)
        let times =
            [0, 951_782_399_999, 951_782_400_000, -1, 4_102_444_800_000]
            + (0..<500).map { _ in
                Int64.random(in: -2_000_000_000_000...9_000_000_000_000, using: &random)
            }
        let script = """
            import datetime, sys
            epoch = datetime.datetime(1970, 1, 1)
            for ms in sys.argv[1].split(","):
                t = epoch + datetime.timedelta(milliseconds=int(ms))
                print(t.isoformat(timespec="milliseconds") + "Z")
            """
        let list = times.map(String.init).joined(separator: ",")
        let python = try ChildProcess("/usr/bin/env", ["python3", "-c", script, list])
        #expect(try await python.exitStatus() == 0)
        let wanted = times.map { WallTime(milliseconds: $0).rfc3339 }
        try await eventually("all dates") {
            python.standardOutput.filter { $0 == "\n" }.count == times.count
        }
        #expect(python.standardOutput.split(separator: "\n").map(String.init) == wanted)
    }
}
