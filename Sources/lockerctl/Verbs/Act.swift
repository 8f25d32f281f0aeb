import ArgumentParser
import ControlClient
import JSONLines
import SecretFiles

struct ActVerb: Verb {
    static let configuration = CommandConfiguration(
        commandName: "act",
        abstract: "Ask a device for something beyond opening.",
        discussion: """
            available: how many lockers are free, by the device's own types.
            last-door: whether the door that was opened last is open.
            revert: takes back what the last open has changed in the device's books.
            tap: fires the lock that was opened last a little, so that it can be heard.
            relay: hands on orders that the device's server has sealed for it, unread.
            Which of them a controller has, `lockerctl controllers --json` shows.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The controller's id.", completion: Completions.controllers)
    var controller: String

    @Argument(
        help: "available, last-door, revert, tap or relay.",
        completion: .list(["available", "last-door", "revert", "tap", "relay"]))
    var action: String

    @Option(
        help: ArgumentHelp(
            "last-door, revert, tap: the locker that is meant; refused where another one was opened last.",
            valueName: "locker"),
        completion: Completions.lockers)
    var locker: String?

    @Option(help: ArgumentHelp("tap: the pause between two taps, 100-2000.", valueName: "ms"))
    var intervalMs: Int?

    @Option(
        help: ArgumentHelp("tap: how many more there are after the first, 0-10.", valueName: "n"))
    var count: Int?

    @Option(help: ArgumentHelp("revert: what the device's log says of it.", valueName: "text"))
    var info: String?

    @Option(
        help: ArgumentHelp(
            "relay: a file with payload and payloadAuth, mode 0600.", valueName: "file"),
        completion: .file())
    var parcel: String?

    func validate() throws {
        guard (parcel != nil) == (action == "relay") else {
            throw ValidationError("--parcel belongs to relay, and relay needs it")
        }
        guard (locker != nil) == ["last-door", "revert", "tap"].contains(action) else {
            throw ValidationError("--locker belongs to last-door, revert and tap, which need it")
        }
    }

    func execute() async throws {
        let (controller, action, params) = (controller, action, try params())
        let session = try await Session.start(global)
        let reply = try await session.attempt { client throws(ControlError) in
            try await client.act(controller: controller, action: action, with: params)
        }
        if global.json { return Output.line(reply.text) }
        guard let result = try? JSONReader.parse(reply.text) else { return Output.line(reply.text) }
        if let types = result["available"]?.objectValue {
            guard !types.members.isEmpty else { return Output.line("\(controller): none is free") }
            for member in types.members {
                Output.line("type \(member.key)  \(member.value.text) free")
            }
        } else if let door = result["door"]?.stringValue {
            Output.line("\(controller): the door that was opened last is \(door)")
        } else {
            Output.line("\(controller): done")
        }
    }

    private func params() throws -> JSONObject {
        var params: JSONObject = [:]
        params["locker"] = locker.map { word in Int64(word).map { .int($0) } ?? .string(word) }
        params["intervalMs"] = intervalMs.map { .int(Int64($0)) }
        params["count"] = count.map { .int(Int64($0)) }
        params["clientInfo"] = info.map { .string($0) }
        guard let parcel else { return params }
        let json: JSON?
        do throws(SecretFile.Problem) {
            json = try SecretFile.read(parcel)
        } catch {
            throw Failure(.failed, error.description)
        }
        guard let payload = json?["payload"]?.stringValue,
            let auth = json?["payloadAuth"]?.stringValue
        else { throw Failure(.failed, "\(parcel): want payload and payloadAuth") }
        params["payload"] = .string(payload)
        params["payloadAuth"] = .string(auth)
        return params
    }
}
