using System.Text;
using Tributary.Edge.Mqtt.Protocol;

namespace Tributary.Edge.Access;

/// <summary>
/// A topic filter of a permission, in which <c>%u</c> stands for the user's name, <c>%c</c> for the client identifier and <c>%%</c> for a
/// percent sign. Immutable.
/// </summary>
internal sealed class TopicGrant
{
    /// <summary>Most bytes of a pattern.</summary>
    public const int MaxBytes = 1024;

    private readonly bool _isFixed;
    private readonly byte[] _filter = [];

    private TopicGrant(string text)
    {
        Text = text;
        _isFixed = !HasPlaceholder(text);
        if (_isFixed)
        {
            _filter = Encoding.UTF8.GetBytes(Substitute(text, "", ""));
        }
    }

    /// <summary>As it was written.</summary>
    public string Text { get; }

    /// <summary>Whether it names the user.</summary>
    public bool NeedsUser => Uses('u');

    /// <summary>Reads a pattern.</summary>
    /// <exception cref="FormatException">It is none; the message says why.</exception>
    public static TopicGrant Parse(string text)
    {
        for (int at = text.IndexOf('%', StringComparison.Ordinal); at >= 0; at = text.IndexOf('%', at + 2))
        {
            if (at + 1 == text.Length || text[at + 1] is not ('u' or 'c' or '%'))
            {
                throw new FormatException($"'{text}' has a '%' that is not followed by 'u' (user), 'c' (client identifier) or '%'");
            }
        }
        byte[] filter = Encoding.UTF8.GetBytes(Substitute(text, "x", "x"));
        if (filter.Length > MaxBytes || !TopicRules.IsFilter(filter) || filter.AsSpan().Contains((byte)0))
        {
            throw new FormatException(
                $"'{text}' is no topic filter of up to {MaxBytes} bytes: '+' must stand alone in its level, '#' in the last one");
        }
        if (TopicRules.IsShared(filter))
        {
            throw new FormatException($"'{text}' begins with $share/: leave that out, shared subscriptions are allowed like others");
        }
        return new TopicGrant(text);
    }

    /// <summary>The filter for a client.</summary>
    /// <param name="user">The user's name, null for none.</param>
    /// <param name="clientId">The client identifier.</param>
    /// <returns>
    /// Null if the pattern does not apply: there is no such name, or it has characters that would make it more than a part of one level.
    /// </returns>
    public byte[]? For(string? user, string clientId)
    {
        if (_isFixed)
        {
            return _filter;
        }
        return (NeedsUser && !IsPlain(user)) || (Uses('c') && !IsPlain(clientId))
            ? null
            : Encoding.UTF8.GetBytes(Substitute(Text, user ?? "", clientId));
    }

    private static bool IsPlain(string? name) => !string.IsNullOrEmpty(name) && name[0] != '$' && name.AsSpan().IndexOfAny('/', '+', '#') < 0;

    private static bool HasPlaceholder(string text) => Uses(text, 'u') || Uses(text, 'c');

    private static string Substitute(string text, string user, string clientId)
    {
        var filter = new StringBuilder(text.Length);
        for (int i = 0; i < text.Length; i++)
        {
            _ = text[i] != '%' ? filter.Append(text[i]) : text[++i] switch
            {
                'u' => filter.Append(user),
                'c' => filter.Append(clientId),
                _ => filter.Append('%'),
            };
        }
        return filter.ToString();
    }

    private static bool Uses(string text, char placeholder)
    {
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == '%' && text[++i] == placeholder)
            {
                return true;
            }
        }
        return false;
    }

    private bool Uses(char placeholder) => Uses(Text, placeholder);
}
