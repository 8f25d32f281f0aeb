import CPosixShim
import Glibc
import ModuleWire
package import SiteModel

/// Decides whether an installed module may be run by this daemon.
///
/// The decision is a pure function over what `lstat` says; `inspect` is the thin layer that asks the file system.
package enum ModuleVetting {
    /// What `lstat` says of one path, as far as it matters here.
    package struct Facts: Sendable, Equatable {
        package enum Kind: String, Sendable {
            case file = "a regular file"
            case directory = "a folder"
            case link = "a symbolic link"
            case other = "a special file"
        }

        package var kind: Kind
        package var owner: UInt32
        package var group: UInt32
        /// Permission bits, `0o7777`.
        package var mode: UInt32
        /// Where a symbolic link leads; nil where that could not be read, and for everything else.
        package var target: String?

        package init(
            kind: Kind, owner: UInt32, group: UInt32 = .max, mode: UInt32, target: String? = nil
        ) {
            self.kind = kind
            self.owner = owner
            self.group = group
            self.mode = mode
            self.target = target
        }
    }

    /// The facts of a path, or the errno with which it could not be looked at.
    package typealias Look = @Sendable (_ path: String) -> Result<Facts, Errno>

    package struct Errno: Error, Sendable, Equatable {
        package let number: Int32

        package init(_ number: Int32) {
            self.number = number
        }
    }

    /// Who may own and write what a module is made of.
    private struct Trust {
        /// The daemon's user; root is trusted anyway.
        let uid: UInt32
        /// A group that holds nobody but this user: its right to write is his own.
        let privateGroup: UInt32?
        let look: Look

        func isWrittenByNobodyElse(_ facts: Facts) -> Bool {
            let isOwn = facts.owner == uid && facts.group == privateGroup
            return facts.mode & (isOwn ? 0o002 : 0o022) == 0
        }
    }

    /// Nil when the module may run, otherwise why not: path, what was wanted, what came.
    ///
    /// `privateGroup` is a group that holds nobody but the user `uid`, as many systems make one for each user.
    package static func refusal(
        of module: ModulePlan, uid: UInt32 = geteuid(),
        privateGroup: UInt32? = ModuleVetting.privateGroup(), look: @escaping Look = inspect
    ) -> String? {
        let trust = Trust(uid: uid, privateGroup: privateGroup, look: look)
        for (what, name) in [("module", module.name), ("executable", module.executable)] {
            if let problem = nameProblem(name) {
                return "\(what) name \"\(name)\" \(problem); want a single path component"
            }
        }
        guard module.directory.hasPrefix("/") else {
            return "module folder \(module.directory) is not an absolute path"
        }
        let folder = withoutTrailingSlashes(module.directory)
        guard lastComponent(folder) == module.name else {
            return "module folder \(folder) has another name than its module \(module.name)"
        }
        let modules = parent(folder)
        // Whoever may rename a folder on the way can put another one with a module of theirs in its place.
        if modules != "/", let problem = problem(onWayTo: modules, trust) {
            return "\(problem), on the way to \(folder)"
        }
        let wanted: [(path: String, kind: Facts.Kind, runs: Bool)] = [
            (modules, .directory, false),
            (folder, .directory, false),
            ("\(folder)/module.toml", .file, false),
            ("\(folder)/\(module.executable)", .file, true),
        ]
        for (path, kind, runs) in wanted {
            switch look(path) {
            case .failure(let error):
                return "\(path) cannot be looked at: \(text(of: error))"
            case .success(let facts):
                if let problem = problem(path, facts, kind: kind, runs: runs, trust) {
                    return problem
                }
            }
        }
        return nil
    }

    /// Why a daemon of the user `uid` would refuse to run the module, in the words of its log; nil when it would run it.
    ///
    /// Starts no process. **Blocks** for as long as the file system takes to answer, so never call it on the concurrency
    /// pool; `lockerd --check` has nothing else to do.
    package static func objection(to module: ModulePlan, uid: UInt32 = geteuid()) -> String? {
        refusal(of: module, uid: uid) ?? majorProblem(module.protocolMajor, "its manifest says")
    }

    /// What is wrong with a major version of the protocol, with the words before it that say whose it is.
    static func majorProblem(_ major: Int, _ source: String) -> String? {
        major == ModuleProtocol.major
            ? nil : "\(source) protocol \(major); want \(ModuleProtocol.major)"
    }

    /// Asks the file system about `path`, not following a symbolic link.
    package static let inspect: Look = { path in
        var status = stat()
        guard lstat(path, &status) == 0 else { return .failure(Errno(errno)) }
        let kind: Facts.Kind =
            switch status.st_mode & S_IFMT {
            case S_IFREG: .file
            case S_IFDIR: .directory
            case S_IFLNK: .link
            default: .other
            }
        return .success(
            Facts(
                kind: kind, owner: status.st_uid, group: status.st_gid,
                mode: status.st_mode & 0o7777,
                target: kind == .link ? target(of: path) : nil))
    }

    /// The primary group of this process's user where it has the user's name and no other member; nil otherwise.
    ///
    /// **Blocks** for as long as the name service takes.
    package static func privateGroup() -> UInt32? {
        var group: UInt32 = 0
        // What runs as root is laid out on purpose, and its group is not always root's alone.
        guard geteuid() != 0 else { return nil }
        return lkd_private_group(geteuid(), &group) == 0 ? group : nil
    }

    private static func target(of path: String) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(path, &buffer, buffer.count)
        // A target that fills the buffer may have been cut.
        guard count > 0, count < buffer.count else { return nil }
        return String(
            validating: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Most symbolic links that may stand on the way, as for the kernel.
    private static let linkLimit = 40

    /// What is wrong with a folder above `path` or with a symbolic link there, from the root down and as the kernel goes;
    /// `path` itself is not looked at.
    private static func problem(onWayTo path: String, _ trust: Trust) -> String? {
        var ahead = Array(components(parent(path)).reversed())
        var place: [String] = []
        var links = 0
        if let problem = lookAtFolder("/", trust).problem { return problem }
        while let next = ahead.popLast() {
            guard next != "..", next != "." else {
                if next == "..", !place.isEmpty { place.removeLast() }
                continue
            }
            let (target, problem) = lookAtFolder(
                "/" + (place + [next]).joined(separator: "/"), trust)
            if let problem { return problem }
            guard let target else {
                place.append(next)
                continue
            }
            links += 1
            guard links <= linkLimit else {
                return "\(path) leads through more than \(linkLimit) symbolic links"
            }
            if target.hasPrefix("/") { place = [] }
            ahead += components(target).reversed()
        }
        return nil
    }

    /// What is wrong with a folder on the way, or the target of the link that stands in its place.
    private static func lookAtFolder(
        _ path: String, _ trust: Trust
    ) -> (target: String?, problem: String?) {
        switch trust.look(path) {
        case .failure(let error):
            return (nil, "\(path) cannot be looked at: \(text(of: error))")
        case .success(var facts):
            if facts.kind == .link {
                guard let target = facts.target else {
                    return (nil, "symbolic link \(path) cannot be read")
                }
                // Its own mode says nothing; that of the folder it stands in was looked at.
                facts.mode = 0
                return (target, problem(path, facts, kind: .link, runs: false, trust))
            }
            // In a sticky folder, such as /tmp, nobody can touch what belongs to somebody else.
            if facts.mode & 0o1000 != 0 { facts.mode = 0 }
            return (nil, problem(path, facts, kind: .directory, runs: false, trust))
        }
    }

    private static func problem(
        _ path: String, _ facts: Facts, kind: Facts.Kind, runs: Bool, _ trust: Trust
    ) -> String? {
        let uid = trust.uid
        guard facts.kind == kind else {
            return "\(path) is \(facts.kind.rawValue); want \(kind.rawValue)"
        }
        guard facts.owner == 0 || facts.owner == uid else {
            let owners = uid == 0 ? "root" : "root or uid \(uid)"
            return "\(path) belongs to uid \(facts.owner); want \(owners)"
        }
        guard trust.isWrittenByNobodyElse(facts) else {
            return
                "\(path) has mode \(octal(facts.mode)); want no write permission for group and others"
        }
        guard !runs || facts.mode & 0o111 != 0 else {
            return "\(path) has mode \(octal(facts.mode)); want it executable"
        }
        return nil
    }

    private static func nameProblem(_ name: String) -> String? {
        if name.isEmpty { return "is empty" }
        if name == "." || name == ".." { return "is not a name" }
        if name.utf8.contains(UInt8(ascii: "/")) { return "holds a slash" }
        if name.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) {
            return "holds a control character"
        }
        return nil
    }

    private static func withoutTrailingSlashes(_ path: String) -> String {
        var path = Substring(path)
        while path.utf8.count > 1, path.hasSuffix("/") { path.removeLast() }
        return String(path)
    }

    private static func components(_ path: String) -> [String] {
        path.split(separator: "/").map(String.init)
    }

    private static func lastComponent(_ path: String) -> String { components(path).last ?? "" }

    private static func parent(_ path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return "/" }
        return String(path[..<slash])
    }

    private static func octal(_ mode: UInt32) -> String {
        "0" + String(mode, radix: 8)
    }

    private static func text(of error: Errno) -> String {
        switch error.number {
        case ENOENT: "no such file"
        case EACCES: "permission denied"
        default: "errno \(error.number)"
        }
    }
}
