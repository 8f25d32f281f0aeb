import JSONLines
import LockerKit
import Logging
import ModuleWire
import NIOCore

/// Makes messages of the bytes a module writes and gives them to the connection. Knows no socket.
struct ModuleListener {
    private let connection: ModuleConnection
    private let log: ModuleLog
    private let notify: @Sendable (DoorsParams) throws(WireError) -> Void
    private var framer = LineFramer(limit: ModuleProtocol.lineLimit)

    init(
        _ connection: ModuleConnection, log: ModuleLog,
        notify: @escaping @Sendable (DoorsParams) throws(WireError) -> Void
    ) {
        self.connection = connection
        self.log = log
        self.notify = notify
    }

    /// Bytes held because their line has not ended.
    var pendingBytes: Int { framer.pendingBytes }

    mutating func take(_ bytes: UnsafeRawBufferPointer) {
        // A module that misbehaved or is to go is not listened to any more; what it still writes is let go.
        guard connection.closed.current == nil else { return }
        framer.append(bytes)
        while connection.closed.current == nil {
            var line = Line.message(.notification(method: "", params: .null))
            switch framer.nextLine({ line = Self.read($0) }) {
            case .line: take(line)
            case .needsMore: return
            case .overlong:
                connection.close(
                    .misbehaviour("sent a line longer than \(ModuleProtocol.lineLimit) bytes"))
                return
            }
        }
    }

    /// A line as it was understood.
    private enum Line {
        case message(ModuleMessage)
        case nonsense(String)
    }

    private static func read(_ line: UnsafeRawBufferPointer) -> Line {
        do throws(ModuleMessage.Problem) {
            return .message(try ModuleMessage(line: line))
        } catch {
            let problem = LogLines.printable(error.description)
            return .nonsense("\(problem): \"\(LogLines.printable(line.prefix(40)))\"")
        }
    }

    private func take(_ line: Line) {
        switch line {
        case .message(let message): take(message)
        case .nonsense(let what):
            connection.close(.misbehaviour("sent a line that is no message: \(what)"))
        }
    }

    private func take(_ message: ModuleMessage) {
        switch message {
        case .result(let id, let result): reply(id, .success(result))
        case .failure(let id?, let error): reply(id, .failure(LockerError(fromModule: error)))
        case .failure(nil, let error):
            log.copy(
                .warning,
                "the module did not understand a line: \(LogLines.printable(error.message))")
        case .notification(let method, let params): takeNotification(method, params)
        case .request(_, let method, _):
            connection.close(
                .misbehaviour(
                    "sent the request \"\(LogLines.printable(method))\"; the daemon takes none"))
        }
    }

    private func reply(_ id: Int64, _ result: Result<JSON, LockerError>) {
        if !connection.receive(id: id, result) {
            log.copy(.warning, "the module answered a call with id \(id) that nobody made")
        }
    }

    private func takeNotification(_ method: String, _ params: JSON) {
        do throws(WireError) {
            switch ModuleNotification(rawValue: method) {
            case .doors: try notify(try DoorsParams(json: params))
            case .log:
                let params = try LogParams(json: params)
                log.copy(
                    .init(rawValue: params.level) ?? .info, LogLines.printable(params.message),
                    metadata: metadata(params))
            case nil: break
            }
        } catch {
            log.copy(
                .warning,
                "the module's notification \(method) was left out: \(LogLines.printable("\(error)"))"
            )
        }
    }

    /// Keys with which the daemon says whose line it is; a module does not get to speak for another.
    private static let ownKeys: Set<String> = ["link", "module", "uplink"]

    private func metadata(_ params: LogParams) -> [String: String] {
        var metadata: [String: String] = [:]
        for (key, value) in params.metadata.prefix(ModuleLimits.logMetadata)
        where !Self.ownKeys.contains(key) {
            metadata[LogLines.printable(key)] = LogLines.printable(value)
        }
        return metadata
    }
}

/// Ties the listener to the channel.
final class ModuleLinesHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let connection: ModuleConnection
    private var listener: ModuleListener

    init(_ connection: ModuleConnection, _ listener: ModuleListener) {
        self.connection = connection
        self.listener = listener
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        unwrapInboundIn(data).withUnsafeReadableBytes { listener.take($0) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        connection.close(.endOfFile)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A reset: the process is gone. The channel's end says so.
        context.close(promise: nil)
    }
}
