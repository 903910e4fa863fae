using Tributary.Contracts.Kafka;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Serves one API. One object for all connections: the state of a request lives in its call.</summary>
internal abstract class ApiHandler(BrokerContext broker, short key, string name, short minVersion, short maxVersion)
{
    /// <summary>The API.</summary>
    public short Key { get; } = key;

    /// <summary>The API's name.</summary>
    public string Name { get; } = name;

    /// <summary>The lowest version that is served.</summary>
    public short MinVersion { get; } = minVersion;

    /// <summary>The highest version that is served.</summary>
    public short MaxVersion { get; } = maxVersion;

    /// <summary>The lowest version that clients are told of.</summary>
    public virtual short AdvertisedMinVersion => MinVersion;

    protected BrokerContext Broker { get; } = broker;

    /// <summary>Reads the request's body, does what it says and writes the response, header included.</summary>
    public abstract ValueTask HandleAsync(Request request, ResponseFrame response, CancellationToken cancellation);

    /// <summary>Counts an error that is answered.</summary>
    protected ErrorCode Counted(ErrorCode error)
    {
        if (error != ErrorCode.None)
        {
            Broker.Metrics.ErrorAnswered(Name, error);
        }
        return error;
    }
}
