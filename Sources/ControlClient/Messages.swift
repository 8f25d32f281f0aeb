package import JSONLines

/// A result, decoded and as it came.
package struct Reply: Sendable {
    package let result: JSON
    /// The result's own bytes, so that `--json` shows what the daemon sent and not our rendering of it.
    package let text: String
}

/// Something that happened on the site.
public struct SiteEvent: Sendable {
    /// Numbered without gaps; where the daemon has a state folder, also from one start of it to the next.
    public let seq: Int
    /// RFC 3339 in UTC by the daemon's clock.
    public let at: String
    /// `door.opened`, `controller.state`, ….
    public let type: String
    /// Which locker it is about, if one.
    public let locker: LockerName?
    /// Which controller it is about, if one.
    public let controller: String?
    /// The event as the daemon sent it, one line of JSON.
    public let json: String
    /// The decoded event, for those who print its other members.
    package let members: JSON

    package init(_ params: JSON, text: String) throws(ControlError) {
        let fields = try Fields(params, at: "event")
        seq = try fields.integer("seq")
        at = try fields.string("at")
        type = try fields.string("type")
        locker = LockerName(fields["locker"])
        controller = fields["controller"]?.stringValue
        json = text
        members = params
    }
}

/// The daemon's name and versions.
public struct DaemonVersion: Sendable {
    /// The program: `lockerd`.
    public let daemon: String
    /// The version of the program.
    public let version: String
    /// Version of the control protocol.
    public let protocolMajor: Int
    /// Grows with every addition to the protocol.
    public let protocolMinor: Int
    /// The result as the daemon sent it, one line of JSON.
    public let json: String

    /// Whether it understands ``ControlClient/planOpenAll(_:)``.
    public var canPlanOpenAll: Bool {
        protocolMajor > 1 || protocolMajor == 1 && protocolMinor >= 1
    }

    package init(_ reply: Reply) throws(ControlError) {
        let fields = try Fields(reply.result, at: "version")
        daemon = try fields.string("daemon")
        version = try fields.string("version")
        let spoken = try Fields(fields["protocol"], at: "version.protocol")
        protocolMajor = try spoken.integer("major")
        protocolMinor = try spoken.integer("minor")
        json = reply.text
    }
}

/// One line of the daemon, taken apart.
enum Incoming {
    case reply(id: Int, Result<Reply, DaemonFault>)
    /// An error that names no request.
    case fault(DaemonFault)
    case notification(method: String, params: JSON, text: String)
    /// A reply to something this client did not number, such as a raw request.
    case other

    /// Reads a line; a text that is not JSON-RPC is an error.
    init(_ line: UnsafeRawBufferPointer) throws(ControlError) {
        let message: JSON
        var part: Range<Int>?
        do {
            message = try JSONReader.parse(line)
            if message.objectValue != nil { part = try Self.range(in: line) }
        } catch {
            throw .malformed(error.description)
        }
        guard let object = message.objectValue else {
            self = .other
            return
        }
        let text = part.map { String(decoding: line[$0], as: UTF8.self) } ?? "null"
        if let method = object["method"]?.stringValue {
            self = .notification(method: method, params: object["params"] ?? .null, text: text)
        } else if let error = object["error"], error != .null {
            let fault = DaemonFault(error)
            if let id = object["id"]?.intValue {
                self = .reply(id: id, .failure(fault))
            } else {
                self = object["id"].map { $0 == .null } ?? true ? .fault(fault) : .other
            }
        } else if let id = object["id"]?.intValue, let result = object["result"] {
            self = .reply(id: id, .success(Reply(result: result, text: text)))
        } else {
            self = .other
        }
    }

    /// Where the `result` or the `params` stand in a line that is a JSON object.
    private static func range(
        in line: UnsafeRawBufferPointer
    ) throws(JSONSyntaxError) -> Range<Int>? {
        var reader = JSONReader(line)
        guard try reader.enterObject() else { return nil }
        repeat {
            let name = try reader.rawMemberName()
            let value = try reader.skipValue()
            let key = line[name]
            if key.elementsEqual("result".utf8) || key.elementsEqual("params".utf8) {
                return value
            }
        } while try reader.nextMember()
        return nil
    }
}
