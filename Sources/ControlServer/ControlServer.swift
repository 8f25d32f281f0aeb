package import ControlWire
import Glibc
package import LockerCore
package import LockerKit
import Locks
package import Logging
import NIOCore
package import NIOPosix
package import SiteModel

/// Serves the control socket.
package final class ControlServer: Sendable {
    private struct State {
        var listener: (any Channel)?
        var file: ListeningSocket.File?
    }

    private let context: ServerContext
    private let plan: ControlPlan
    private let group: MultiThreadedEventLoopGroup
    private let state = Mutex(State())

    /// `reload` reads the configuration and hands it to the core; it is called for peers that hold `configure`.
    /// `restartUplink` starts an uplink's module anew, and answers false where there is none of that name. `owners` may do
    /// everything without a rule. `modules` are started beside it, and keep their share of the process's file handles.
    package init(
        core: any ControlCore, plan: ControlPlan, modules: Int = 0,
        group: MultiThreadedEventLoopGroup, version: String,
        reload: @escaping @Sendable () async throws(LockerError) -> ReloadView,
        restartUplink: @escaping @Sendable (String) async -> Bool = { _ in false }, logger: Logger,
        clock: any MonotonicClock = ContinuousClock(),
        wallClock: @escaping @Sendable () -> WallTime = ControlServer.systemTime,
        limits: ControlLimits = .standard, owners: Set<UInt32> = [0, getuid()]
    ) {
        self.plan = plan
        self.group = group
        context = ServerContext(
            core: core, plan: plan, modules: modules, version: version, reload: reload,
            restartUplink: restartUplink,
            logger: logger,
            clock: clock, wallClock: wallClock, limits: limits, owners: owners)
    }

    /// The system's wall clock.
    package static let systemTime: @Sendable () -> WallTime = {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return WallTime(milliseconds: Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000)
    }

    /// Connections at the moment.
    package var clientCount: Int { context.clientCount }

    /// Makes the socket of the plan, or takes over `inherited` from the service manager, and serves it.
    ///
    /// With `serving` false connections queue up until ``serve()``: nobody is answered before there is a site to ask.
    package func start(
        inheriting inherited: Int32? = nil, serving: Bool = true
    ) async throws(SocketError) {
        // A client may leave while its reply is being written.
        signal(SIGPIPE, SIG_IGN)
        let socket =
            if let inherited {
                try ListeningSocket(adopting: inherited)
            } else {
                try ListeningSocket(path: plan.socket, group: plan.group)
            }
        do {
            let listener = try await bootstrap(serving: serving).withBoundSocket(socket.descriptor)
                .get()
            state.withLock { $0 = State(listener: listener, file: socket.file) }
        } catch {
            socket.file?.remove()
            throw SocketError("control socket \(plan.socket): \(error)")
        }
        context.logger.info("control socket serves", metadata: ["path": "\(plan.socket)"])
    }

    /// Begins to take connections.
    package func serve() async {
        let listener = state.withLock { $0.listener }
        // Fails only on a closed socket, which serves nobody anyway.
        try? await listener?.setOption(.autoRead, value: true).get()
    }

    private func bootstrap(serving: Bool) -> ServerBootstrap {
        let high = context.limits.outboundBytes
        return ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.autoRead, value: serving)
            .serverChannelInitializer { [context] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptPause(context.logger))
                }
            }
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            // One read a turn: what is not answered yet bounds what is read.
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(
                .recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 16 * 1024)
            )
            .childChannelOption(
                .writeBufferWaterMark,
                value: ChannelOptions.Types.WriteBufferWaterMark(low: high / 4, high: high)
            )
            .childChannelInitializer { [context] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        ControlConnection(context, channel))
                }
            }
    }

    /// Takes over the rules and the client limit of another plan, also for those who are connected, and that it has `modules`.
    /// The socket stays.
    package func updatePolicy(_ plan: ControlPlan, modules: Int = 0) {
        context.adopt(plan, modules: modules)
    }

    /// Accepts nobody, reads no further request, lets out the replies that are under way for `grace`, and closes.
    ///
    /// The socket's file goes first, so that a client that comes now is told that nobody is there.
    package func stop(grace: Duration = .seconds(5)) async {
        let (listener, file) = state.withLock { state in
            defer { state = State() }
            return (state.listener, state.file)
        }
        file?.remove()
        try? await listener?.close()
        let channels = context.beginStopping()
        guard !channels.isEmpty else { return }
        for channel in channels {
            channel.pipeline.fireUserInboundEventTriggered(ControlConnection.Drain())
        }
        let deadline = group.next().scheduleTask(in: .nanoseconds(grace.nanoseconds)) {
            for channel in channels { channel.close(promise: nil) }
        }
        for channel in channels { try? await channel.closeFuture.get() }
        deadline.cancel()
    }
}

extension Duration {
    var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds.multipliedReportingOverflow(by: 1_000_000_000).overflow
            ? .max : seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }
}
