import ControlWire
import JSONLines
import LockerCore
import Logging
import NIOCore

/// One client: cuts its stream into lines, sees that neither side can make the other's memory grow, and ends in order.
///
/// All of it runs on the connection's event loop. Requests are served in `ControlConnection+Requests.swift`, events in
/// `ControlConnection+Events.swift`.
final class ControlConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Asks a connection to read no further request and to close once its replies are out.
    struct Drain: Sendable {}

    private enum Phase: Equatable {
        case serving
        /// The peer has sent all it will; its replies are still owed.
        case inputEnded
        /// Nothing that comes is served any more; replies under way still go out. A peer that was cut off may be in the middle
        /// of writing and is let finish, so that it comes to read the reason.
        case discarding(letsPeerFinish: Bool)
        /// All is written; waiting for the peer to take it.
        case closing
        case closed
    }

    let server: ServerContext
    let channel: any Channel
    /// What is to be written at the end of this turn.
    var out: ByteBuffer
    /// Requests whose replies are held back.
    var inFlight = 0
    /// Bytes that unfinished batches have collected.
    var batchedBytes = 0
    var subscriber: Subscriber?
    /// A request without an id was warned of.
    var hasWarned = false

    private var context: ChannelHandlerContext?
    private var framer: LineFramer
    private var phase = Phase.serving
    private var isPaused = false
    private var isTaking = false
    private var grant: Grant?
    private var grantGeneration = 0

    /// Room of `out` that is kept from turn to turn.
    private static let keptBytes = 64 * 1024

    init(_ server: ServerContext, _ channel: any Channel) {
        self.server = server
        self.channel = channel
        framer = LineFramer(limit: server.limits.lineBytes)
        out = channel.allocator.buffer(capacity: 2048)
    }

    // MARK: Beginning and end

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        let peer = try? context.pipeline.syncOperations.withUnsafeTransportIfAvailable(
            of: NIOBSDSocket.Handle.self
        ) { handle in Peer.connected(to: handle).map { ($0, handle) } }
        guard case .success(let (peer, handle))? = peer else {
            server.logger.error("client refused: the kernel does not say who it is")
            return turnAway(
                ControlFault(code: "INTERNAL", "the kernel does not say who is connected"))
        }
        switch server.admit(channel, peer, handle: handle) {
        case .admitted: break
        case .full(let limit):
            server.logger.warning(
                "client refused: \(limit) are connected", metadata: ["uid": "\(peer.uid)"])
            return turnAway(
                .busy(
                    "\(limit) clients are connected already; close one",
                    details: ["limit": .int(Int64(limit))]))
        case .noHandles(let limit):
            server.logger.warning(
                "client refused: the daemon needs the rest of its \(limit) file handles; raise LimitNOFILE",
                metadata: ["uid": "\(peer.uid)"])
            return turnAway(
                .busy("the daemon has no file handle to spare; close a connection"))
        case .stopping:
            return turnAway(
                ControlFault(code: "STOPPING", "the daemon is stopping", isRetryable: true))
        }
        grantGeneration = server.policyGeneration
        grant = server.grant(to: peer)
        server.logger.debug(
            "client connected", metadata: ["uid": "\(peer.uid)", "pid": "\(peer.pid)"])
    }

    func channelInactive(context: ChannelHandlerContext) {
        phase = .closed
        subscriber?.events.cancel()
        subscriber = nil
        server.forget(channel)
        self.context = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        server.logger.debug("connection failed", metadata: ["reason": "\(error)"])
        context.close(promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed:
            if phase == .closing { return context.close(promise: nil) }
            guard phase == .serving else { return finishIfDone() }
            // A last line without its line feed is a line: whole JSON needs no end mark.
            if framer.pendingBytes > 0 { framer.append([0x0A]) }
            phase = .inputEnded
            takeLines()
            flush()
            finishIfDone()
        case is Drain:
            endInput(letsPeerFinish: false)
        default:
            context.fireUserInboundEventTriggered(event)
        }
    }

    /// What the peer may do by the rules of now.
    func currentGrant() -> Grant? {
        refreshGrant()
        return grant
    }

    /// Whether the peer may look at every locker, by the rules of now; asked with each `status`, so nothing is copied.
    var seesEverything: Bool {
        refreshGrant()
        return grant?.seesEverything ?? false
    }

    private func refreshGrant() {
        let generation = server.policyGeneration
        guard generation != grantGeneration, let peer = grant?.peer else { return }
        grantGeneration = generation
        grant = server.grant(to: peer)
    }

    // MARK: Reading

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard phase == .serving else { return }
        unwrapInboundIn(data).withUnsafeReadableBytes { framer.append($0) }
        takeLines()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        flush()
        finishIfDone()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        guard channel.isWritable else { return }
        takeLines()
        pumpEvents()
        flush()
        finishIfDone()
    }

    /// Serves the lines that have come, for as long as the peer reads its replies.
    private func takeLines() {
        // A flush in here may find the channel writable again and call back.
        guard !isTaking, phase == .serving || phase == .inputEnded else { return }
        isTaking = true
        defer { isTaking = false }
        while phase == .serving || phase == .inputEnded {
            if out.readableBytes >= server.limits.outboundBytes { flush() }
            guard channel.isWritable else { return pause() }
            switch framer.nextLine({ serve($0) }) {
            case .line: continue
            case .needsMore: return resume()
            case .overlong:
                let limit = server.limits.lineBytes
                fault(
                    .invalidRequest(
                        "the line is longer than \(limit) bytes; the connection ends",
                        details: ["limit": .int(Int64(limit))]))
                endInput()
            }
        }
    }

    private func pause() {
        guard !isPaused else { return }
        isPaused = true
        setAutoRead(false)
    }

    private func resume() {
        guard isPaused else { return }
        isPaused = false
        setAutoRead(true)
    }

    private func setAutoRead(_ isOn: Bool) {
        // Fails only on a closed channel, where it makes no difference.
        try? channel.syncOptions?.setOption(.autoRead, value: isOn)
    }

    // MARK: Writing and closing

    /// Hands over what was written in this turn, in one piece.
    func flush() {
        guard out.readableBytes > 0, let context else { return }
        // The write may call back into this handler, which must not find the same bytes again.
        var leaving = out
        out = ByteBuffer()
        context.writeAndFlush(wrapOutboundOut(leaving), promise: nil)
        if out.readableBytes == 0, leaving.capacity <= Self.keptBytes {
            leaving.clear()
            out = leaving
        }
    }

    /// Serves no further request; closes when the replies under way are out.
    func endInput(letsPeerFinish: Bool = true) {
        guard phase == .serving || phase == .inputEnded else { return }
        phase = .discarding(letsPeerFinish: letsPeerFinish && phase == .serving)
        subscriber?.events.cancel()
        subscriber = nil
        resume()
        finishIfDone()
    }

    /// Whether a reply can still reach the peer.
    var isOpen: Bool { phase != .closing && phase != .closed }

    func finishIfDone() {
        guard inFlight == 0, !isTaking, let context else { return }
        switch phase {
        case .inputEnded where !isPaused && subscriber == nil: close(context, letsPeerFinish: false)
        case .discarding(let letsPeerFinish): close(context, letsPeerFinish: letsPeerFinish)
        default: break
        }
    }

    /// Closes once all is written, or after the grace.
    private func close(_ context: ChannelHandlerContext, letsPeerFinish: Bool) {
        phase = .closing
        flush()
        let channel = channel
        let deadline = context.eventLoop.scheduleTask(
            in: .nanoseconds(server.limits.closingGrace.nanoseconds)
        ) { channel.close(promise: nil) }
        channel.closeFuture.whenComplete { _ in deadline.cancel() }
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.whenComplete { _ in
            channel.close(mode: letsPeerFinish ? .output : .all, promise: nil)
        }
        context.writeAndFlush(
            wrapOutboundOut(channel.allocator.buffer(capacity: 0)), promise: written)
    }

    /// One line with the reason, then the end.
    private func turnAway(_ reason: ControlFault) {
        fault(reason)
        phase = .closing
        guard let context else { return }
        let written = context.eventLoop.makePromise(of: Void.self)
        let channel = channel
        written.futureResult.whenComplete { _ in channel.close(promise: nil) }
        let leaving = out
        out = ByteBuffer()
        context.writeAndFlush(wrapOutboundOut(leaving), promise: written)
    }
}
