import Foundation
import Locks
import SiteModel
import TestSupport
import Testing

@testable import ModuleHost

@Suite("Vetting of a module")
struct ModuleVettingTests {
    private static let folder = "/usr/lib/lockerd/modules/fake"

    private func plan(
        name: String = "fake", directory: String = folder, executable: String = "fake-module"
    ) -> ModulePlan {
        ModulePlan(
            name: name, kind: .driver, directory: directory, executable: executable,
            protocolMajor: 1)
    }

    private static let ways: [String: ModuleVetting.Facts] = [
        "/": .init(kind: .directory, owner: 0, mode: 0o755),
        "/usr": .init(kind: .directory, owner: 0, mode: 0o755),
        "/usr/lib": .init(kind: .directory, owner: 0, mode: 0o755),
        "/usr/lib/lockerd": .init(kind: .directory, owner: 0, mode: 0o755),
    ]

    private static let good: [String: ModuleVetting.Facts] = [
        "/usr/lib/lockerd/modules": .init(kind: .directory, owner: 0, mode: 0o755),
        folder: .init(kind: .directory, owner: 0, mode: 0o755),
        "\(folder)/module.toml": .init(kind: .file, owner: 0, mode: 0o644),
        "\(folder)/fake-module": .init(kind: .file, owner: 0, mode: 0o755),
    ]

    private func refusal(
        _ plan: ModulePlan, uid: UInt32 = 990, change path: String? = nil,
        _ change: (inout ModuleVetting.Facts) -> Void = { _ in }
    ) -> String? {
        var facts = Self.good.merging(Self.ways) { $1 }
        if let path, var changed = facts[path] {
            change(&changed)
            facts[path] = changed
        }
        let table = facts
        return ModuleVetting.refusal(of: plan, uid: uid) { path in
            table[path].map { .success($0) } ?? .failure(.init(ENOENT))
        }
    }

    @Test("A module of root, or of the daemon's own user, that nobody else may write is accepted")
    func accepted() {
        #expect(refusal(plan()) == nil)
        for path in Self.good.keys {
            #expect(refusal(plan(), change: path) { $0.owner = 990 } == nil)
        }
        #expect(refusal(plan(directory: Self.folder + "/")) == nil)
    }

    @Test(
        "Whatever others may write to is refused, with path and mode", arguments: good.keys.sorted()
    )
    func writable(path: String) {
        for mode in [0o775, 0o757, 0o777] as [UInt32] {
            #expect(
                refusal(plan(), change: path) { $0.mode = mode }
                    == "\(path) has mode 0\(String(mode, radix: 8)); want no write permission for group and others"
            )
        }
    }

    @Test(
        "Whatever belongs to a third user is refused, with both uids", arguments: good.keys.sorted()
    )
    func foreign(path: String) {
        #expect(
            refusal(plan(), change: path) { $0.owner = 1000 }
                == "\(path) belongs to uid 1000; want root or uid 990")
        #expect(
            refusal(plan(), uid: 0, change: path) { $0.owner = 1000 }
                == "\(path) belongs to uid 1000; want root")
    }

    @Test(
        "A folder above that others may write to is refused by name", arguments: ways.keys.sorted())
    func writableWay(path: String) {
        for mode in [0o775, 0o757, 0o777] as [UInt32] {
            #expect(
                refusal(plan(), change: path) { $0.mode = mode }
                    == "\(path) has mode 0\(String(mode, radix: 8)); want no write permission for group and others, on the way to \(Self.folder)"
            )
        }
    }

    @Test(
        "A folder above that belongs to a third user is refused by name",
        arguments: ways.keys.sorted())
    func foreignWay(path: String) {
        #expect(
            refusal(plan(), change: path) { $0.owner = 1000 }
                == "\(path) belongs to uid 1000; want root or uid 990, on the way to \(Self.folder)"
        )
        #expect(refusal(plan(), change: path) { $0.owner = 990 } == nil)
        #expect(
            refusal(plan(), uid: 0, change: path) { $0.owner = 990 }
                == "\(path) belongs to uid 990; want root, on the way to \(Self.folder)")
    }

    @Test(
        "A sticky folder above is as good as one that nobody may write to, the modules' own is not")
    func sticky() {
        #expect(refusal(plan(), change: "/usr/lib") { $0.mode = 0o1777 } == nil)
        #expect(
            refusal(plan(), change: "/usr/lib") { ($0.mode, $0.owner) = (0o1777, 1000) }
                == "/usr/lib belongs to uid 1000; want root or uid 990, on the way to \(Self.folder)"
        )
        let modules = "/usr/lib/lockerd/modules"
        #expect(
            refusal(plan(), change: modules) { $0.mode = 0o1777 }
                == "\(modules) has mode 01777; want no write permission for group and others")
    }

    @Test(
        "What the daemon's user shares with a group of its own is its own",
        arguments: [
            (UInt32(990), UInt32(990), UInt32(0o775), true), (990, 990, 0o777, false),
            (990, 50, 0o775, false), (0, 990, 0o775, false),
        ])
    func privateGroup(owner: UInt32, group: UInt32, mode: UInt32, isFine: Bool) {
        var facts = Self.good.merging(Self.ways) { $1 }
        facts["/usr/lib/lockerd/modules"] = .init(
            kind: .directory, owner: owner, group: group, mode: mode)
        let table = facts
        let refusal = ModuleVetting.refusal(of: plan(), uid: 990, privateGroup: 990) { path in
            table[path].map { .success($0) } ?? .failure(.init(ENOENT))
        }
        #expect((refusal == nil) == isFine, "\(refusal ?? "")")
    }

    /// The good folders with links above them.
    private func refusal(links: [String: String], owner: UInt32 = 0) -> String? {
        var facts = Self.good.merging(Self.ways) { $1 }
        for (path, target) in links {
            facts[path] = .init(kind: .link, owner: owner, mode: 0o777, target: target)
        }
        facts["/srv"] = .init(kind: .directory, owner: 0, mode: 0o755)
        facts["/srv/open"] = .init(kind: .directory, owner: 0, mode: 0o777)
        facts["/srv/open/lockerd"] = .init(kind: .directory, owner: 0, mode: 0o755)
        let table = facts
        return ModuleVetting.refusal(of: plan(), uid: 990) { path in
            table[path].map { .success($0) } ?? .failure(.init(ENOENT))
        }
    }

    @Test("A link above is followed, and the folders above its target are looked at too")
    func linkedWay() {
        let way = ", on the way to \(Self.folder)"
        let lockerd = "/usr/lib/lockerd"
        for target in ["/srv", "../../srv", "/usr/../srv/./", "//srv"] {
            #expect(refusal(links: [lockerd: target]) == nil, "\(target)")
        }
        #expect(
            refusal(links: [lockerd: "/srv/open/lockerd"])
                == "/srv/open has mode 0777; want no write permission for group and others\(way)")
        #expect(
            refusal(links: [lockerd: "/srv"], owner: 1000)
                == "\(lockerd) belongs to uid 1000; want root or uid 990\(way)")
        #expect(
            refusal(links: [lockerd: "/nowhere"])
                == "/nowhere cannot be looked at: no such file\(way)")
        #expect(
            refusal(links: [lockerd: "lockerd"])
                == "/usr/lib/lockerd/modules leads through more than 40 symbolic links\(way)")
        #expect(
            refusal(links: [lockerd: "/usr/lib/lockerd/modules/fake/module.toml"])?
                .hasPrefix("/usr/lib/lockerd/modules leads through more than") == true)
    }

    @Test("A symbolic link is refused wherever it stands", arguments: good.keys.sorted())
    func link(path: String) throws {
        let wanted = try #require(Self.good[path]?.kind.rawValue)
        #expect(
            refusal(plan(), change: path) { $0.kind = .link }
                == "\(path) is a symbolic link; want \(wanted)")
    }

    @Test("An executable without any executable bit is refused")
    func notExecutable() {
        let path = "\(Self.folder)/fake-module"
        #expect(
            refusal(plan(), change: path) { $0.mode = 0o644 }
                == "\(path) has mode 0644; want it executable")
    }

    @Test(
        "An executable must be a single path component",
        arguments: ["", ".", "..", "../sh", "/bin/sh", "bin/fake", "fake\n", "fake\u{7F}"])
    func componentNames(name: String) {
        let answer = refusal(plan(executable: name)) ?? ""
        #expect(answer.hasPrefix("executable name"))
        #expect(answer.hasSuffix("want a single path component"))
    }

    @Test("A module's name must be a single path component and its folder's name")
    func folderName() {
        #expect(
            refusal(plan(name: ".."))
                == "module name \"..\" is not a name; want a single path component")
        #expect(
            refusal(plan(name: "other"))
                == "module folder \(Self.folder) has another name than its module other")
        #expect(
            refusal(plan(directory: "modules/fake"))
                == "module folder modules/fake is not an absolute path")
    }

    @Test("What is not there is refused with its path")
    func missing() {
        #expect(
            refusal(plan(executable: "nothing"))
                == "\(Self.folder)/nothing cannot be looked at: no such file")
    }

    @Test("The file system is asked without following links")
    func realFiles() async throws {
        try await withTemporaryDirectory { folder in
            let module = try FakeModule.install(in: folder)
            #expect(ModuleVetting.refusal(of: module) == nil)
            let executable = "\(module.directory)/fake-module"
            #expect(chmod(executable, 0o775) == 0)
            #expect(
                ModuleVetting.refusal(of: module)
                    == "\(executable) has mode 0775; want no write permission for group and others")
            try FileManager.default.removeItem(atPath: executable)
            #expect(symlink("/bin/sh", executable) == 0)
            #expect(
                ModuleVetting.refusal(of: module)
                    == "\(executable) is a symbolic link; want a regular file")
        }
    }

    @Test("The way to a module is looked at where it really leads")
    func realWay() async throws {
        try await withTemporaryDirectory { folder in
            let module = try FakeModule.install(in: "\(folder)/open/inner")
            #expect(chmod("\(folder)/open", 0o777) == 0)
            let reason =
                "\(folder)/open has mode 0777; want no write permission for group and others"
            #expect(
                ModuleVetting.refusal(of: module) == "\(reason), on the way to \(module.directory)")
            #expect(symlink("open/inner", "\(folder)/link") == 0)
            var linked = module
            linked.directory = "\(folder)/link/modules/fake"
            #expect(
                ModuleVetting.refusal(of: linked) == "\(reason), on the way to \(linked.directory)")
            #expect(chmod("\(folder)/open", 0o755) == 0)
            #expect(ModuleVetting.refusal(of: linked) == nil)
        }
    }

    @Test("A check says what a start would, the protocol of the manifest included")
    func objection() async throws {
        try await withTemporaryDirectory { folder in
            var module = try FakeModule.install(in: folder)
            #expect(ModuleVetting.objection(to: module) == nil)
            module.protocolMajor = 2
            #expect(
                ModuleVetting.objection(to: module) == "its manifest says protocol 2; want 1")
            #expect(chmod(module.directory, 0o777) == 0)
            #expect(
                ModuleVetting.objection(to: module)
                    == "\(module.directory) has mode 0777; want no write permission for group and others"
            )
        }
    }
}
