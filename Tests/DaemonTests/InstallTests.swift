import Foundation
import TestSupport
import Testing

@Suite struct InstallTests {
    /// Installs this build below a folder of the test.
    private func install(in stage: String, etc: String = "/etc") async throws {
        let process = try ChildProcess(
            "\(Checkout.root)/scripts/install-tree", [Checkout.programs],
            environment: ["DESTDIR": stage, "PREFIX": "/opt/l", "SYSCONFDIR": etc])
        let status = try await process.exitStatus(within: .seconds(120))
        try #require(status == 0, "\(process.standardOutput)\(process.standardError)")
    }

    private func text(_ path: String) throws -> String {
        try String(contentsOfFile: path, encoding: .utf8)
    }

    @Test func anInstalledTreeRunsAndBringsTheRuntimeAlong() async throws {
        try await withTemporaryDirectory { stage in
            try await install(in: stage)
            let root = "\(stage)/opt/l"
            let libraries = try FileManager.default.contentsOfDirectory(
                atPath: "\(root)/lib/lockerd")
            #expect(libraries.contains("libswiftCore.so") && libraries.contains("libdispatch.so"))
            #expect(!libraries.contains { $0.hasPrefix("libc.") || $0.hasPrefix("libmodbus") })
            for completion in [
                "bash-completion/completions/lockerctl", "zsh/site-functions/_lockerctl",
                "fish/vendor_completions.d/lockerctl.fish",
            ] {
                #expect(try text("\(root)/share/\(completion)").contains("open-all"))
            }
            // The modules are found from where the program lies, and may be run.
            try write(
                TestSite.simulated("wall", firstID: 101),
                to: "\(stage)/etc/lockerd/links.d/wall.toml")
            let check = try ChildProcess(
                "\(root)/bin/lockerd", ["--check", "--config", "\(stage)/etc/lockerd"])
            let status = try await check.exitStatus()
            #expect(status == 0, "\(check.standardOutput)\(check.standardError)")
        }
    }

    @Test func theUnitHasTheFoldersOfTheInstallation() async throws {
        try await withTemporaryDirectory { stage in
            try await install(in: stage, etc: "/srv/etc")
            let unit = try text("\(stage)/opt/l/lib/systemd/system/lockerd.service")
            #expect(
                unit.contains(
                    "ExecStart=/opt/l/bin/lockerd --config /srv/etc/lockerd --state /var/lib/lockerd"
                ))
            #expect(!unit.contains("ConfigurationDirectory"))
            let file = "\(stage)/srv/etc/lockerd/lockerd.toml"
            #expect(FileManager.default.fileExists(atPath: file))
            // What a site wrote stays, at every later installation.
            try write("site = \"mine\"\n", to: file)
            try await install(in: stage, etc: "/srv/etc")
            #expect(try text(file) == "site = \"mine\"\n")
            #expect(try text("\(file).new").contains("my-site"))
        }
    }
}
