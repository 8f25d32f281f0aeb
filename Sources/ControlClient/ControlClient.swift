import ControlWire
import Glibc
package import JSONLines
import NIOCore
import NIOPosix

/// A connection to `lockerd`'s control socket.
///
/// Calls may run concurrently on one client. Nothing is repeated by itself: when a call that moves hardware ends in
/// ``ControlError/connectionLost(method:reason:)``, whether the lock fired is not known, and the door must be looked at
/// (or the same idempotency key used again) before anybody fires again.
public final class ControlClient: Sendable {
    /// Where the daemon listens unless it was told otherwise.
    public static let defaultSocket = ControlProtocol.defaultSocket
    /// Longest line that is accepted from the daemon, in bytes: a status of more than 100,000 lockers fits.
    public static let replyLimit = 64 << 20
    /// Events that may wait to be taken before the stream ends with an error.
    public static let eventLimit = 100_000
    /// How long a question that moves nothing may stay unanswered.
    public static let patience = Duration.seconds(10)
    /// How long a ``cancel(_:)`` may stay unanswered: the daemon holds the reply for up to 30 s, until it knows what
    /// became of the lock that is firing.
    public static let cancelPatience = Duration.seconds(45)

    private let channel: any Channel
    let exchange: Exchange

    private init(channel: any Channel, exchange: Exchange) {
        self.channel = channel
        self.exchange = exchange
    }

    deinit {
        channel.close(promise: nil)
    }

    /// Connects to the socket at `path`; throws ``ControlError/unreachable(path:code:)`` where nobody serves it.
    ///
    /// The process will ignore SIGPIPE from here on.
    public static func connect(
        to path: String = defaultSocket
    ) async throws(ControlError) -> ControlClient {
        try await connect(to: path, replyLimit: replyLimit, eventLimit: eventLimit)
    }

    /// Connects with other limits than the usual ones, for tests at the limits.
    package static func connect(
        to path: String, replyLimit: Int, eventLimit: Int
    ) async throws(ControlError) -> ControlClient {
        signal(SIGPIPE, SIG_IGN)
        let exchange = Exchange(eventLimit: eventLimit)
        do {
            let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connectTimeout(.seconds(10))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let handler = LineHandler(exchange, limit: replyLimit)
                        try channel.pipeline.syncOperations.addHandler(handler)
                    }
                }
                .connect(unixDomainSocketPath: path).get()
            return ControlClient(channel: channel, exchange: exchange)
        } catch {
            throw .unreachable(path: path, code: Self.errnoCode(of: error))
        }
    }

    private static func errnoCode(of error: any Error) -> Int32 {
        switch error {
        case let error as IOError: error.errnoCode
        case SocketAddressError.unixDomainSocketPathTooLong: ENAMETOOLONG
        case ChannelError.connectTimeout: ETIMEDOUT
        default: EIO
        }
    }

    /// Ends the connection; calls under way end with ``ControlError/connectionLost(method:reason:)``.
    public func close() async {
        // It may be closed already, which is what is wanted.
        try? await channel.close()
    }

    /// Sends one request and waits for its result.
    ///
    /// `patience` bounds the wait; nil waits as long as the connection lives, which is right for calls whose reply is
    /// held back until hardware is done.
    package func call(
        _ method: String, _ params: JSON = .object(JSONObject()),
        patience: Duration? = ControlClient.patience
    ) async throws(ControlError) -> Reply {
        let id = exchange.nextID()
        let line = Self.line(id: id, method: method, params: params)
        let answer = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard exchange.wait(id, method, continuation) else { return }
                if Task.isCancelled {
                    return exchange.settle(id) { .failure(.abandoned(method: $0)) }
                }
                send(line)
                if let patience { giveUp(id, after: patience) }
            }
        } onCancel: {
            exchange.settle(id) { .failure(.abandoned(method: $0)) }
        }
        return try answer.get()
    }

    private func giveUp(_ id: Int, after limit: Duration) {
        let exchange = exchange
        let amount = TimeAmount.milliseconds(
            limit.components.seconds * 1000 + limit.components.attoseconds / 1_000_000_000_000_000)
        channel.eventLoop.scheduleTask(in: amount) {
            exchange.settle(id) { .failure(.timedOut(method: $0, after: limit)) }
        }
    }

    private static func line(id: Int, method: String, params: JSON) -> [UInt8] {
        var writer = JSONWriter(reserving: 256)
        writer.beginObject()
        writer.member("jsonrpc", "2.0")
        writer.member("id", id)
        writer.member("method", method)
        if params != .object(JSONObject()) { writer.member("params", params) }
        writer.endObject()
        return writer.bytes
    }

    private func send(_ line: [UInt8]) {
        var buffer = channel.allocator.buffer(capacity: line.count + 1)
        buffer.writeBytes(line)
        buffer.writeInteger(UInt8(ascii: "\n"))
        // A write that fails closes the channel, and that ends every wait.
        channel.writeAndFlush(buffer, promise: nil)
    }

    /// Sends a line as it is and returns the lines that come back; the connection is used up by it.
    ///
    /// The stream ends when the daemon closes. The line must not hold a line feed.
    package func raw(_ line: String) -> AsyncStream<String> {
        let (stream, continuation) = AsyncStream<String>.makeStream()
        guard exchange.setRaw(continuation) else {
            continuation.finish()
            return stream
        }
        // The stream keeps the connection for whoever holds nothing but the stream.
        continuation.onTermination = { _ in withExtendedLifetime(self) {} }
        send(Array(line.utf8))
        return stream
    }
}
