namespace Tributary.Benchmarks.Load;

/// <summary>What publishers do.</summary>
/// <param name="Connections">How many there are.</param>
/// <param name="Window">Messages in flight on each.</param>
/// <param name="PayloadBytes">Bytes of a message.</param>
/// <param name="Qos">1 or 2.</param>
/// <param name="HasSubscriber">Whether one more client subscribes to all of them at QoS 1.</param>
/// <param name="HasCommands">Whether each subscribes at QoS 1 to a topic of its own, in which nothing comes.</param>
internal sealed record LoadOptions(
    int Connections, int Window, int PayloadBytes, int Qos = 1, bool HasSubscriber = false, bool HasCommands = false);
