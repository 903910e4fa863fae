using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Edge.Uplink.Security;

/// <summary>Authenticates a connection by SaslHandshake 1 and SaslAuthenticate (KIP-152), for the first time or again (KIP-368).</summary>
internal static class SaslSignIn
{
    private const int MaxMessages = 4;
    private const int MaxChars = 300;
    private const int MaxMechanisms = 20;
    private static readonly TimeSpan LongestLifetime = TimeSpan.FromDays(20);

    /// <summary>Makes the exchange.</summary>
    /// <returns>Time after which the connection must be authenticated again; zero for never.</returns>
    /// <exception cref="CloudRefusedException">The node does not accept who we are, or can't prove who it is.</exception>
    /// <exception cref="CloudException">No answer came, or the password can't be read.</exception>
    public static async Task<TimeSpan> AuthenticateAsync(KafkaNode node, UplinkSaslOptions options)
    {
        await BeginAsync(node, options.MechanismName);
        ISaslClient client = SaslClients.Of(options);
        byte[]? token = client.Begin();
        for (int i = 0; i < MaxMessages; i++)
        {
            SaslAuthenticateResponse answer =
                await node.RequestAsync<SaslAuthenticateRequest, SaslAuthenticateResponse>(new SaslAuthenticateRequest { AuthBytes = token }, isUrgent: true);
            Check(node, options, answer);
            try
            {
                token = client.Answer(answer.AuthBytes.Span);
            }
            catch (SaslException e)
            {
                throw new CloudRefusedException($"{node.Endpoint} did not authenticate by {options.MechanismName}: {e.Message}", e);
            }
            if (token is null)
            {
                return TimeSpan.FromMilliseconds(Math.Clamp(answer.SessionLifetimeMs, 0, (long)LongestLifetime.TotalMilliseconds));
            }
        }
        throw new CloudRefusedException($"{node.Endpoint} did not end the exchange of {options.MechanismName} after {MaxMessages} messages");
    }

    private static async Task BeginAsync(KafkaNode node, string mechanism)
    {
        SaslHandshakeResponse handshake =
            await node.RequestAsync<SaslHandshakeRequest, SaslHandshakeResponse>(new SaslHandshakeRequest { Mechanism = mechanism }, isUrgent: true);
        if (handshake.ErrorCode == ErrorCode.None)
        {
            return;
        }
        string known = handshake.Mechanisms.Length == 0 ? "none" : string.Join(", ", handshake.Mechanisms.Take(MaxMechanisms));
        throw handshake.ErrorCode == ErrorCode.UnsupportedSaslMechanism
            ? new CloudRefusedException(
                $"{node.Endpoint} does not take {mechanism} (setting uplink:sasl:mechanism); it knows {Printable.Of(known, MaxChars)}")
            : Failure(handshake.ErrorCode, $"{node.Endpoint} answered {KafkaErrors.Describe(handshake.ErrorCode)} to SaslHandshake");
    }

    private static void Check(KafkaNode node, UplinkSaslOptions options, SaslAuthenticateResponse answer)
    {
        if (answer.ErrorCode == ErrorCode.None)
        {
            return;
        }
        string words = answer.ErrorMessage is { Length: > 0 } text ? $"\"{Printable.Of(text, MaxChars)}\"" : KafkaErrors.Describe(answer.ErrorCode);
        throw Failure(
            answer.ErrorCode,
            $"{node.Endpoint} does not accept the user '{options.Username}' by {options.MechanismName}: {words} (settings under uplink:sasl:)");
    }

    private static CloudException Failure(ErrorCode error, string message) =>
        KafkaErrors.Passes(error) ? new CloudException(message) : new CloudRefusedException(message);
}
