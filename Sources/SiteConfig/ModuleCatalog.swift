import JSONLines
import SiteModel

/// Finds modules and their board profiles; reads each file once.
struct ModuleCatalog {
    /// What a name led to.
    enum Lookup {
        case found(Module)
        /// There, but its manifest is of no use.
        case broken([Problem])
        /// Not there; where was looked and what comes near, as the end of a sentence.
        case missing(String)
    }

    /// Folders in which modules are looked for, first match wins.
    let directories: [String]
    /// The config folder; its `boards/` comes before the profiles that modules ship.
    let directory: String

    /// Why a module would be refused although its manifest is right; nil where it would not.
    let vetting: @Sendable (ModulePlan) -> String?

    private var modules: [String: Lookup] = [:]
    private var boards: [String: BoardLookup] = [:]

    init(
        directories: [String], directory: String,
        vetting: @escaping @Sendable (ModulePlan) -> String?
    ) {
        self.directories = directories
        self.directory = directory
        self.vetting = vetting
    }

    mutating func module(_ name: String) -> Lookup {
        if let known = modules[name] { return known }
        let lookup = find(name)
        modules[name] = lookup
        return lookup
    }

    private func find(_ name: String) -> Lookup {
        for parent in directories {
            let folder = "\(parent)/\(name)"
            let file = "\(folder)/module.toml"
            switch Document.read(file, as: file) {
            case .failure(let failure) where failure.isMissing: continue
            case .failure(let failure): return .broken([failure.problem])
            case .success(let document):
                var findings = Findings(file: file, lines: document.lines)
                let module = Module.read(document, folder: folder, name: name, into: &findings)
                return module.map { .found($0) } ?? .broken(findings.sorted)
            }
        }
        let installed = directories.flatMap { parent in
            ((try? listFolder(parent)) ?? []).filter {
                unreadable("\(parent)/\($0)/module.toml") == nil
            }
        }
        return .missing(searched(directories, for: name, among: installed))
    }
}

// MARK: Board profiles

/// A controller model described as data, checked against the module that drives it.
struct BoardProfile {
    /// All its keys, defaults filled in.
    let values: JSONObject
    let lockers: Int?
    let pulse: Int?
}

extension ModuleCatalog {
    enum BoardLookup {
        case found(BoardProfile)
        /// There, but wrong. What could be read of it all the same is in the profile.
        case broken(BoardProfile?, [Problem])
        case missing(String)
    }

    /// The profile `name` for `module`: the site's own before the one that the module ships.
    mutating func board(_ name: String, for module: Module) -> BoardLookup {
        let key = "\(module.plan.name)/\(name)"
        if let known = boards[key] { return known }
        let lookup = findBoard(name, for: module)
        boards[key] = lookup
        return lookup
    }

    private func findBoard(_ name: String, for module: Module) -> BoardLookup {
        let folders = ["\(directory)/boards", "\(module.plan.directory)/boards"]
        for (index, folder) in folders.enumerated() {
            let path = "\(folder)/\(name).toml"
            let file = index == 0 ? "boards/\(name).toml" : path
            switch Document.read(path, as: file) {
            case .failure(let failure) where failure.isMissing: continue
            case .failure(let failure): return .broken(nil, [failure.problem])
            case .success(let document):
                var checker = SchemaChecker(Findings(file: file, lines: document.lines))
                let schema = CoreSchemas.board.merged(with: module.board)
                let values = checker.table(document.root, by: schema)
                let profile = BoardProfile(
                    values: values, lockers: values["lockers"]?.intValue,
                    pulse: values["pulse_ms"]?.intValue)
                return checker.findings.isEmpty
                    ? .found(profile) : .broken(profile, checker.findings.sorted)
            }
        }
        let present = folders.flatMap { (try? listFolder($0)) ?? [] }
            .filter { $0.hasSuffix(".toml") }.map { String($0.dropLast(5)) }
        return .missing(searched(folders, for: name, among: present))
    }
}

/// `not found in A, B; did you mean "C"?`, or with what there is instead.
private func searched(
    _ directories: [String], for name: String, among present: [String]
) -> String {
    let places = directories.isEmpty ? "no folder" : directories.joined(separator: ", ")
    let remedy: String
    if let near = nearest(name, in: present) {
        remedy = "; did you mean \(quoted(near))?"
    } else if present.isEmpty {
        remedy = directories.isEmpty ? "" : ", where there is none at all"
    } else {
        let known = Set(present).sorted()
        remedy =
            "; there are \(known.prefix(20).joined(separator: ", "))\(known.count > 20 ? ", …" : "")"
    }
    return "not found in \(places)\(remedy)"
}
