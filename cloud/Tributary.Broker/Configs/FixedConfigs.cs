using System.Collections.Frozen;

namespace Tributary.Broker.Configs;

/// <summary>
/// Kafka's other broker configs, those of releases that are still in use included: nobody changes them while a broker runs. To these belong
/// here the ones that open listeners or hold secrets, which Kafka changes under conditions.
/// </summary>
internal static class FixedConfigs
{
    /// <summary>What precedes the configs of a single listener.</summary>
    private const string ListenerPrefix = "listener.name.";

    private static readonly FrozenSet<string> Names = FrozenSet.Create(
        StringComparer.Ordinal,
        // Listeners and secrets.
        "advertised.listeners", "listeners", "listener.security.protocol.map", "sasl.jaas.config",
        // The broker and its cluster.
        "advertised.host.name", "advertised.port", "broker.heartbeat.interval.ms", "broker.id", "broker.id.generation.enable",
        "broker.rack",
        "broker.session.timeout.ms", "control.plane.listener.name", "controlled.shutdown.enable", "controlled.shutdown.max.retries",
        "controlled.shutdown.retry.backoff.ms", "controller.listener.names", "controller.quorum.append.linger.ms",
        "controller.quorum.bootstrap.servers", "controller.quorum.election.backoff.max.ms", "controller.quorum.election.timeout.ms",
        "controller.quorum.fetch.timeout.ms", "controller.quorum.request.timeout.ms", "controller.quorum.retry.backoff.ms",
        "controller.quorum.voters", "controller.quota.window.num", "controller.quota.window.size.seconds", "controller.socket.timeout.ms",
        "host.name", "initial.broker.registration.timeout.ms", "inter.broker.listener.name", "inter.broker.protocol.version",
        "metadata.log.dir", "metadata.log.max.record.bytes.between.snapshots", "metadata.log.max.snapshot.interval.ms",
        "metadata.log.segment.bytes", "metadata.log.segment.ms", "metadata.max.idle.interval.ms", "metadata.max.retention.bytes",
        "metadata.max.retention.ms", "node.id", "port", "process.roles", "reserved.broker.max.id", "server.max.startup.time.ms",
        "unstable.api.versions.enable", "unstable.feature.versions.enable", "early.start.listeners",
        // Requests and connections.
        "client.quota.callback.class", "connection.failed.authentication.delay.ms", "connections.max.idle.ms", "connections.max.reauth.ms",
        "fetch.max.bytes", "fetch.purgatory.purge.interval.requests", "max.incremental.fetch.session.cache.slots",
        "max.request.partition.size.limit", "producer.purgatory.purge.interval.requests",
        "delete.records.purgatory.purge.interval.requests",
        "queued.max.request.bytes", "queued.max.requests", "quota.consumer.default", "quota.producer.default", "quota.window.num",
        "quota.window.size.seconds", "request.timeout.ms", "socket.connection.setup.timeout.max.ms", "socket.connection.setup.timeout.ms",
        "socket.listen.backlog.size", "socket.receive.buffer.bytes", "socket.request.max.bytes", "socket.send.buffer.bytes",
        // Topics and logs.
        "alter.config.policy.class.name", "auto.create.topics.enable", "auto.include.jmx.reporter", "auto.leader.rebalance.enable",
        "create.topic.policy.class.name", "default.replication.factor", "delete.topic.enable", "leader.imbalance.check.interval.seconds",
        "leader.imbalance.per.broker.percentage", "log.cleaner.enable", "log.dir", "log.dirs", "log.dir.failure.timeout.ms",
        "log.flush.offset.checkpoint.interval.ms", "log.flush.scheduler.interval.ms", "log.flush.start.offset.checkpoint.interval.ms",
        "log.initial.task.delay.ms", "log.message.format.version", "log.retention.check.interval.ms", "log.retention.hours",
        "log.retention.minutes", "log.roll.hours", "log.roll.jitter.hours", "num.partitions", "producer.id.expiration.check.interval.ms",
        // Replicas.
        "alter.log.dirs.replication.quota.window.num", "alter.log.dirs.replication.quota.window.size.seconds",
        "num.replica.alter.log.dirs.threads", "replica.fetch.backoff.ms", "replica.fetch.max.bytes", "replica.fetch.min.bytes",
        "replica.fetch.response.max.bytes", "replica.fetch.wait.max.ms", "replica.high.watermark.checkpoint.interval.ms",
        "replica.lag.time.max.ms", "replica.selector.class", "replica.socket.receive.buffer.bytes", "replica.socket.timeout.ms",
        "replication.quota.window.num", "replication.quota.window.size.seconds",
        // Groups and transactions.
        "group.consumer.assignors", "group.consumer.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms",
        "group.consumer.max.session.timeout.ms", "group.consumer.max.size", "group.consumer.migration.policy",
        "group.consumer.min.heartbeat.interval.ms", "group.consumer.min.session.timeout.ms", "group.consumer.session.timeout.ms",
        "group.coordinator.append.linger.ms", "group.coordinator.new.enable", "group.coordinator.rebalance.protocols",
        "group.coordinator.threads", "group.initial.rebalance.delay.ms", "group.max.session.timeout.ms", "group.max.size",
        "group.min.session.timeout.ms", "offset.metadata.max.bytes", "offsets.commit.required.acks", "offsets.commit.timeout.ms",
        "offsets.load.buffer.size", "offsets.retention.check.interval.ms", "offsets.retention.minutes", "offsets.topic.compression.codec",
        "offsets.topic.num.partitions", "offsets.topic.replication.factor", "offsets.topic.segment.bytes",
        "transaction.abort.timed.out.transaction.cleanup.interval.ms", "transaction.max.timeout.ms",
        "transaction.remove.expired.transaction.cleanup.interval.ms", "transaction.state.log.load.buffer.size",
        "transaction.state.log.min.isr",
        "transaction.state.log.num.partitions", "transaction.state.log.replication.factor", "transaction.state.log.segment.bytes",
        "transaction.two.phase.commit.enable", "transactional.id.expiration.ms",
        // Security.
        "authorizer.class.name", "delegation.token.expiry.check.interval.ms", "delegation.token.expiry.time.ms",
        "delegation.token.master.key",
        "delegation.token.max.lifetime.ms", "delegation.token.secret.key", "password.encoder.cipher.algorithm",
        "password.encoder.iterations",
        "password.encoder.key.length", "password.encoder.keyfactory.algorithm", "password.encoder.old.secret", "password.encoder.secret",
        "sasl.client.callback.handler.class", "sasl.login.callback.handler.class", "sasl.login.class", "sasl.login.connect.timeout.ms",
        "sasl.login.read.timeout.ms", "sasl.login.retry.backoff.max.ms", "sasl.login.retry.backoff.ms",
        "sasl.mechanism.controller.protocol", "sasl.oauthbearer.clock.skew.seconds", "sasl.oauthbearer.expected.audience",
        "sasl.oauthbearer.expected.issuer", "sasl.oauthbearer.jwks.endpoint.refresh.ms",
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms",
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", "sasl.oauthbearer.jwks.endpoint.url", "sasl.oauthbearer.scope.claim.name",
        "sasl.oauthbearer.sub.claim.name", "sasl.oauthbearer.token.endpoint.url", "sasl.server.callback.handler.class",
        "sasl.server.max.receive.size", "security.inter.broker.protocol", "security.providers", "ssl.allow.dn.changes",
        "ssl.allow.san.changes", "ssl.principal.mapping.rules",
        // Metrics.
        "kafka.metrics.polling.interval.secs", "kafka.metrics.reporters", "metrics.num.samples", "metrics.recording.level",
        "metrics.sample.window.ms", "telemetry.max.bytes");

    private static readonly FrozenSet<string> OfListeners = FrozenSet.Create(
        StringComparer.Ordinal,
        "ssl.key.password", "ssl.keystore.certificate.chain", "ssl.keystore.key", "ssl.keystore.location", "ssl.keystore.password",
        "ssl.keystore.type", "ssl.truststore.certificates", "ssl.truststore.location", "ssl.truststore.password", "ssl.truststore.type");

    /// <summary>Whether it is a broker config that is not changed while the broker runs.</summary>
    public static bool Contains(string name) => Names.Contains(name)
        || name.StartsWith(ListenerPrefix, StringComparison.Ordinal)
        || name.StartsWith("zookeeper.", StringComparison.Ordinal)
        || name.StartsWith("remote.log.storage.", StringComparison.Ordinal)
        || name.StartsWith("remote.log.metadata.", StringComparison.Ordinal);

    /// <summary>Whether Kafka takes it with the name of a listener before it only.</summary>
    public static bool IsOfListeners(string name) => OfListeners.Contains(name);
}
