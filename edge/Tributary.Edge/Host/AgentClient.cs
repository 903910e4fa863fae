using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Tributary.Edge.Status;

namespace Tributary.Edge.Host;

/// <summary>Asks a running agent for its status, at the address that its settings name.</summary>
internal static class AgentClient
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    /// <summary>Largest status, bytes.</summary>
    private const int MaxBytes = 16 << 20;

    /// <summary>Where an agent is asked that listens there: one that listens at all addresses, at that of this machine itself.</summary>
    public static IPEndPoint Reachable(IPEndPoint listens) =>
        listens.Address.Equals(IPAddress.Any) ? new IPEndPoint(IPAddress.Loopback, listens.Port)
        : listens.Address.Equals(IPAddress.IPv6Any) ? new IPEndPoint(IPAddress.IPv6Loopback, listens.Port)
        : listens;

    /// <summary>Asks for the status.</summary>
    /// <returns>It as it came, and as it reads.</returns>
    /// <exception cref="AgentAwayException">Nobody listens there.</exception>
    /// <exception cref="IOException">No answer came, or it isn't that of an agent; the message says what.</exception>
    public static async Task<(string Json, EdgeStatus Status)> StatusAsync(IPEndPoint listens)
    {
        IPEndPoint at = Reachable(listens);
        if (at.Port == 0)
        {
            throw new AgentAwayException($"the setting 'http' is {listens}, a free port that the agent chose: give the one that it printed when it started (--http)");
        }
        // Straight to this machine, whatever proxy the environment names.
        using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false, ConnectTimeout = Limit })
        {
            Timeout = Limit,
            MaxResponseContentBufferSize = MaxBytes,
        };
        try
        {
            string json = await http.GetStringAsync(new Uri($"http://{at}/status"));
            EdgeStatus status = JsonSerializer.Deserialize(json, EdgeStatusJson.Default.EdgeStatus)
                ?? throw new IOException($"what listens at {at} (setting 'http') is no agent: it answers nothing");
            return (json, status);
        }
        catch (HttpRequestException e) when (e.InnerException is SocketException { SocketErrorCode: SocketError.ConnectionRefused })
        {
            throw new AgentAwayException($"no agent listens at {at} (setting 'http')", e);
        }
        catch (HttpRequestException e)
        {
            throw new IOException($"what listens at {at} (setting 'http') does not answer as an agent does: {e.Message}", e);
        }
        catch (TaskCanceledException e)
        {
            throw new IOException($"what listens at {at} (setting 'http') does not answer within {Limit.TotalSeconds:0} s", e);
        }
        catch (JsonException e)
        {
            throw new IOException($"what listens at {at} (setting 'http') is no agent of this version: {e.Message}", e);
        }
    }
}

/// <summary>Nobody listens where the agent would; the message says where.</summary>
internal sealed class AgentAwayException(string message, Exception? inner = null) : IOException(message, inner);
