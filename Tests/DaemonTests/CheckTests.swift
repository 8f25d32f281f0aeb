import TestSupport
import Testing

@Suite struct CheckTests {
    /// What no schema can say, only the driver knows.
    @Test func checkAsksTheDriver() async throws {
        try await withTemporaryDirectory { folder in
            func link(_ keys: String) -> String {
                """
                driver = "gpio-expander"
                [link]
                [[controller]]
                id = "wall"
                chip = "mcp23017"
                board = "mcp23017"
                fires_at = "high"
                first_input = 8
                first_id = 1
                power = "main"
                \(keys)
                """
            }
            let site = try TestSite(in: folder, ["links.d/wall.toml": link("lockers = 8")])
            let bad = try await site.run(["--check"])
            #expect(bad.status == 1)
            #expect(
                bad.out.hasPrefix(
                    "links.d/wall.toml:1: module gpio-expander refused configure: locker 8 of wall has its sensor at line 15, which on a MCP23017 is an output only: want another line, or "
                ), "\(bad.out)")
            try write(link("lockers = 7"), to: "\(site.etc)/links.d/wall.toml")
            let good = try await site.run(["--check"])
            #expect(good.status == 0)
            #expect(
                good.out.contains(
                    "links.d/wall.toml:1: note: the doors of wall are unknown until open_level says"
                ), "\(good.out)")
            #expect(good.out.hasSuffix("no problems\n"))
        }
    }
}
