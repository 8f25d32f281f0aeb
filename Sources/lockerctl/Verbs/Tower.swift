import ArgumentParser
import ControlClient
import Glibc
import JSONLines
import TowerLink
import TowerTokens

/// Keys and tokens of towers, without a daemon.
struct TowerVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tower",
        abstract: "Make and check keys and tokens of towers.",
        discussion: """
            A tower has no internet: it opens for tokens that were made with a key it has. The key file holds such keys and is its
            owner's alone (mode 0600). Nothing is asked of lockerd.
            """,
        subcommands: [TowerKeyVerb.self, TowerTokenVerb.self, TowerCheckVerb.self])
}

/// A key by its id and rotation, as "1.2".
struct KeyName: ExpressibleByArgument {
    let id: Int64
    let rotation: Int64

    init?(argument: String) {
        let parts = argument.split(separator: ".", omittingEmptySubsequences: false).map {
            Int64($0)
        }
        guard parts.count == 2, let id = parts[0], let rotation = parts[1] else { return nil }
        (self.id, self.rotation) = (id, rotation)
    }
}

struct TowerKeyVerb: Verb {
    static let configuration = CommandConfiguration(
        commandName: "key",
        abstract: "Add a new key to a key file, or take one out of use.",
        discussion: """
            Without --sunset and --revoke it adds a new rotation of key 1, makes the file where there is none, and lets the rotation
            before go out after --overlap.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The key file.", completion: .file())
    var file: String

    @Option(help: "The tower, sixteen hexadecimal digits; needed for a new file.")
    var tower: String?

    @Option(help: "The key's id.")
    var id: Int64 = 1

    @Option(help: ArgumentHelp("How long tokens of the rotation before are taken.", valueName: "s"))
    var overlap: Int64 = 86_400

    @Option(help: ArgumentHelp("Let this key go out after --overlap.", valueName: "id.rotation"))
    var sunset: KeyName?

    @Option(
        help: ArgumentHelp(
            "Take nothing that was made with this key any more.", valueName: "id.rotation"))
    var revoke: KeyName?

    func validate() throws {
        guard sunset == nil || revoke == nil else {
            throw ValidationError("give --sunset or --revoke")
        }
        guard 0...TokenIssuer.longestDuration * 365 ~= overlap else {
            throw ValidationError("--overlap: want 0 to a year, in seconds")
        }
        guard id >= 0 else { throw ValidationError("--id: want 0 or more") }
    }

    func execute() async throws {
        var store = try store()
        let now = Int64(time(nil))
        do throws(KeyRefusal) {
            if let sunset {
                try store.file.ring.sunset(
                    sunset.id, rotation: sunset.rotation, until: now + overlap)
            } else if let revoke {
                try store.file.ring.revoke(revoke.id, rotation: revoke.rotation)
            } else {
                store.file.ring.forgetUseless(at: now)
                try store.file.ring.install(try newKey(store.file.ring), sunset: now + overlap)
            }
        } catch {
            throw Failure(.failed, "\(file): \(error)")
        }
        try store.write()
        show(store.file)
    }

    private func store() throws(Failure) -> KeyStore {
        let named = tower.flatMap { TowerID($0) }
        if tower != nil, named == nil {
            throw Failure(.usage, "--tower: want sixteen hexadecimal digits")
        }
        if let store = try KeyStore.read(file) {
            guard named == nil || named == store.file.tower else {
                throw Failure(.failed, "\(file) is of tower \(store.file.tower)")
            }
            return store
        }
        guard sunset == nil, revoke == nil else { return try KeyStore.existing(file) }
        guard let named else {
            throw Failure(.usage, "\(file) is not there yet; say with --tower whose keys it is for")
        }
        return KeyStore(path: file, file: KeyFile(named))
    }

    private func newKey(_ ring: KeyRing) throws(KeyRefusal) -> TowerKey {
        let rotation = (ring.keys.filter { $0.id == id }.map(\.rotation).max() ?? 0) + 1
        guard
            let key = TowerKey(
                id: id, rotation: rotation, secret: Secret(systemRandom(TowerKey.length)))
        else { throw .none }
        return key
    }

    /// Which keys there are now; never what they are.
    private func show(_ file: KeyFile) {
        for key in file.ring.keys {
            var object: JSONObject = ["id": .int(key.id), "rotation": .int(key.rotation)]
            let state: String
            switch key.state {
            case .installed: state = "installed"
            case .revoked: state = "revoked"
            case .sunset(let until):
                state = "sunset"
                object["until"] = .int(until)
            }
            object["state"] = .string(state)
            Output.line(
                global.json ? JSON.object(object).text : "\(key.id).\(key.rotation)  \(state)")
        }
    }
}

struct TowerTokenVerb: Verb {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Make a token that opens a locker of a tower, or one that lets into a session.",
        discussion: """
            Prints one JSON object, as `open --token-file` reads it. Whoever has it can use it: keep it in a file of your own.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The key file.", completion: .file())
    var file: String

    @Option(help: "Opens this locker, by the tower's own number.")
    var locker: Int64?

    @Option(
        help: ArgumentHelp(
            "Lets into a session with these permissions: \(Permission.names).",
            valueName: "permissions"))
    var session: String?

    @Option(help: "Who it is for: the client of a session, or what the log says of an open.")
    var client = ""

    @Option(name: .customLong("for"), help: ArgumentHelp("How long it is good.", valueName: "s"))
    var duration: Int64 = 300

    func validate() throws {
        guard (locker == nil) != (session == nil) else {
            throw ValidationError("give --locker or --session")
        }
    }

    func execute() async throws {
        let store = try KeyStore.existing(file)
        let issuer = TokenIssuer(store.file.tower, store.file.ring)
        let now = Int64(time(nil))
        var object: JSONObject = ["tower": .string(store.file.tower.description)]
        do throws(IssueRefusal) {
            if let session {
                let token = try issuer.sessionToken(
                    try Self.permissions(session), client: client, duration: duration, at: now)
                object["payload"] = .string(hex(token.payload))
                object["payloadAuth"] = .string(hex(token.payloadAuth))
                object["sessionSeed"] = .string(hex(token.seed.revealed))
            } else {
                let token = try issuer.openToken(
                    locker: locker, clientInfo: client, duration: duration, at: now)
                object["payload"] = .string(hex(token.payload))
                object["payloadAuth"] = .string(hex(token.payloadAuth))
            }
        } catch {
            throw Failure(.failed, "no token: \(error)")
        }
        object["expires"] = .int(now + duration)
        Output.line(JSON.object(object).text)
    }

    private static func permissions(_ text: String) throws(IssueRefusal) -> Set<Permission> {
        let words = text.split(separator: ",").map(String.init)
        let found = words.compactMap { word in
            Permission.allCases.first { "\($0)" == word }
        }
        guard found.count == words.count, !found.isEmpty else { throw .noPermission }
        return Set(found)
    }
}

struct TowerCheckVerb: Verb {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Say what a token says, or why a tower would refuse it.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The key file.", completion: .file())
    var file: String

    @Argument(help: "The file with the token.", completion: .file())
    var token: String

    func execute() async throws {
        let store = try KeyStore.existing(file)
        let found = try TokenFile.read(token)
        guard let payload = bytes(fromHex: found.payload),
            let auth = bytes(fromHex: found.payloadAuth)
        else {
            throw Failure(.failed, "\(token): want payload and payloadAuth in hexadecimal digits")
        }
        let verifier = TokenVerifier(store.file.tower, store.file.ring)
        let now = Int64(time(nil))
        do throws(TokenRefusal) {
            let claims = try verifier.open(payload, auth, at: now)
            say("open", claims.expires - now, claims.locker.map { "locker \($0)" } ?? "any locker")
        } catch .wrongKind {
            do throws(TokenRefusal) {
                let claims = try verifier.session(payload, auth, at: now)
                let rights = claims.permissions.map { "\($0)" }.sorted().joined(separator: ",")
                say("session", claims.expires - now, rights)
            } catch {
                throw Failure(.failed, "the token is refused: \(error)")
            }
        } catch {
            throw Failure(.failed, "the token is refused: \(error)")
        }
    }

    private func say(_ kind: String, _ left: Int64, _ what: String) {
        if global.json {
            let object: JSONObject = [
                "kind": .string(kind), "secondsLeft": .int(left), "what": .string(what),
            ]
            Output.line(JSON.object(object).text)
        } else {
            Output.line("\(kind)  \(what)  good for \(left) s")
        }
    }
}

extension Permission {
    static var names: String { allCases.map { "\($0)" }.joined(separator: ", ") }
}
