using System.Text;
using System.Text.Json;
using Tributary.Edge.Host;

namespace Tributary.Edge.Access;

/// <summary>
/// The users file: JSON, comments and trailing commas allowed.
/// <code>
/// {
///   "users": {
///     "pump-17": { "password": "$pbkdf2-sha256$…", "publish": ["devices/%u/#"], "subscribe": ["commands/%u/#"] }
///   },
///   "anonymous": { "publish": ["devices/#"] }
/// }
/// </code>
/// It is taken whole or not at all; what is wrong is told with its line, and never with a password hash. Written under another name,
/// flushed and renamed: a crash leaves the old one or the new one.
/// </summary>
internal static class UsersFile
{
    /// <summary>Largest file, bytes.</summary>
    public const int MaxBytes = 16 << 20;

    /// <summary>Most users.</summary>
    public const int MaxUsers = 100_000;

    /// <summary>Most filters of one list.</summary>
    public const int MaxFilters = 256;

    /// <summary>Longest name of a user, characters.</summary>
    public const int MaxNameLength = 256;

    private const string UsersName = "users";
    private const string AnonymousName = "anonymous";
    private const string PasswordName = "password";
    private const string PublishName = "publish";
    private const string SubscribeName = "subscribe";
    private static readonly JsonReaderOptions Reading = new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };

    /// <summary>Reads a file.</summary>
    /// <exception cref="UsersFileException">It can't be read or says what can't be.</exception>
    public static Users Read(string path)
    {
        byte[] bytes;
        try
        {
            var file = new FileInfo(path);
            if (file.Exists && file.Length > MaxBytes)
            {
                throw new UsersFileException($"the users file {path} has {file.Length} bytes; it may have {MaxBytes}");
            }
            bytes = File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsersFileException($"the users file {path} can't be read: {e.Message}", e);
        }
        return Parse(bytes, path);
    }

    /// <summary>Reads the bytes of a file.</summary>
    /// <param name="bytes">The bytes.</param>
    /// <param name="path">What errors call it.</param>
    /// <exception cref="UsersFileException">They say what can't be.</exception>
    public static Users Parse(ReadOnlySpan<byte> bytes, string path)
    {
        if (bytes.StartsWith((ReadOnlySpan<byte>)[0xEF, 0xBB, 0xBF]))
        {
            bytes = bytes[3..];
        }
        var reader = new Utf8JsonReader(bytes, Reading);
        try
        {
            return ReadRoot(ref reader);
        }
        catch (JsonException e)
        {
            throw new UsersFileException($"the users file {path}, line {(e.LineNumber ?? 0) + 1} is not JSON: {e.Message}", e);
        }
        catch (Exception e) when (e is FormatException or InvalidOperationException)
        {
            // InvalidOperationException: text that is not UTF-8.
            int line = bytes[..(int)reader.TokenStartIndex].Count((byte)'\n') + 1;
            throw new UsersFileException($"the users file {path}, line {line}: {e.Message}", e);
        }
    }

    /// <summary>Writes a file in the place of the one that is there, readable for its owner, or as the other one was.</summary>
    /// <exception cref="IOException">It can't be written.</exception>
    public static void Write(string path, Users users)
    {
        string temporary = $"{path}.{Environment.ProcessId}.tmp";
        try
        {
            var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write };
            if (!OperatingSystem.IsWindows())
            {
                options.UnixCreateMode = File.Exists(path) ? File.GetUnixFileMode(path) : UnixFileMode.UserRead | UnixFileMode.UserWrite;
            }
            using (var file = new FileStream(temporary, options))
            {
                file.Write(Format(users));
                file.Flush(flushToDisk: true);
            }
            KeepOwner(path, temporary);
            File.Move(temporary, path, overwrite: true);
        }
        finally
        {
            File.Delete(temporary);
        }
    }

    /// <summary>A file that an administrator writes stays its owner's, or the agent could not read it any more.</summary>
    private static void KeepOwner(string path, string temporary)
    {
        if (!File.Exists(path) || !Environment.IsPrivilegedProcess || !OperatingSystem.IsLinux())
        {
            return;
        }
        using var chown = System.Diagnostics.Process.Start("chown", [$"--reference={path}", temporary]);
        chown.WaitForExit();
        if (chown.ExitCode != 0)
        {
            throw new IOException($"the owner of {path} can't be given to what replaces it");
        }
    }

    /// <summary>Whether a user may have that name.</summary>
    public static bool IsName(string name) => name.Length is > 0 and <= MaxNameLength && !name.Any(char.IsControl);

    private static byte[] Format(Users users)
    {
        using var stream = new MemoryStream();
        var writing = new JsonWriterOptions { Indented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
        using (var writer = new Utf8JsonWriter(stream, writing))
        {
            writer.WriteStartObject();
            writer.WriteStartObject(UsersName);
            foreach (User user in users.All)
            {
                writer.WriteStartObject(user.Name);
                if (user.Password is { } password)
                {
                    writer.WriteString(PasswordName, password.ToString());
                }
                Write(writer, user.Permissions);
                writer.WriteEndObject();
            }
            writer.WriteEndObject();
            if (users.Anonymous is { } anonymous)
            {
                writer.WriteStartObject(AnonymousName);
                Write(writer, anonymous);
                writer.WriteEndObject();
            }
            writer.WriteEndObject();
        }
        stream.WriteByte((byte)'\n');
        return stream.ToArray();
    }

    private static void Write(Utf8JsonWriter writer, Permissions permissions)
    {
        foreach ((string name, IReadOnlyList<TopicGrant> filters) in new[] { (PublishName, permissions.Publish), (SubscribeName, permissions.Subscribe) })
        {
            writer.WriteStartArray(name);
            foreach (TopicGrant filter in filters)
            {
                writer.WriteStringValue(filter.Text);
            }
            writer.WriteEndArray();
        }
    }

    private static Users ReadRoot(ref Utf8JsonReader reader)
    {
        List<User> users = [];
        Permissions? anonymous = null;
        reader.Read();
        StrictJson.Expect(reader, JsonTokenType.StartObject, "the file must hold a JSON object");
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (StrictJson.NextMember(ref reader, seen) is { } name)
        {
            switch (name)
            {
                case UsersName:
                    ReadUsers(ref reader, users);
                    break;
                case AnonymousName:
                    anonymous = ReadUser(ref reader, AnonymousName, isAnonymous: true).Permissions;
                    break;
                default:
                    throw new FormatException($"'{name}' is unknown: there are '{UsersName}' and '{AnonymousName}'");
            }
        }
        reader.Read(); // anything behind the object is an error
        return new Users(users, anonymous);
    }

    private static void ReadUsers(ref Utf8JsonReader reader, List<User> users)
    {
        StrictJson.Expect(reader, JsonTokenType.StartObject, $"'{UsersName}' must be an object with an entry for each user");
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (StrictJson.NextMember(ref reader, seen) is { } name)
        {
            if (!IsName(name))
            {
                throw new FormatException($"a user's name must have 1 to {MaxNameLength} characters and no control characters");
            }
            if (users.Count == MaxUsers)
            {
                throw new FormatException($"there are more than {MaxUsers} users");
            }
            users.Add(ReadUser(ref reader, name, isAnonymous: false));
        }
    }

    private static User ReadUser(ref Utf8JsonReader reader, string user, bool isAnonymous)
    {
        StrictJson.Expect(reader, JsonTokenType.StartObject, $"'{user}' must be an object");
        PasswordHash? password = null;
        IReadOnlyList<TopicGrant> publish = [], subscribe = [];
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (StrictJson.NextMember(ref reader, seen) is { } name)
        {
            switch (name)
            {
                case PasswordName when !isAnonymous:
                    StrictJson.Expect(reader, JsonTokenType.String, $"the password of '{user}' must be the text of a hash");
                    password = PasswordHash.Parse(reader.GetString()!);
                    break;
                case PublishName:
                    publish = ReadFilters(ref reader, name, isAnonymous);
                    break;
                case SubscribeName:
                    subscribe = ReadFilters(ref reader, name, isAnonymous);
                    break;
                default:
                    throw new FormatException(
                        $"'{name}' of '{user}' is unknown: there are {(isAnonymous ? "" : $"'{PasswordName}', ")}'{PublishName}' and '{SubscribeName}'");
            }
        }
        return new User(user, password, new Permissions(publish, subscribe));
    }

    private static List<TopicGrant> ReadFilters(ref Utf8JsonReader reader, string name, bool isAnonymous)
    {
        string rule = $"'{name}' must be a list of topic filters";
        StrictJson.Expect(reader, JsonTokenType.StartArray, rule);
        List<TopicGrant> filters = [];
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            StrictJson.Expect(reader, JsonTokenType.String, rule);
            if (filters.Count == MaxFilters)
            {
                throw new FormatException($"'{name}' has more than {MaxFilters} topic filters");
            }
            var filter = TopicGrant.Parse(reader.GetString()!);
            if (isAnonymous && filter.NeedsUser)
            {
                throw new FormatException($"'{filter.Text}' names the user, and anonymous clients have none");
            }
            filters.Add(filter);
        }
        return filters;
    }
}

/// <summary>A users file can't be read or says what can't be; the message names file, line and reason.</summary>
internal sealed class UsersFileException(string message, Exception? inner = null) : Exception(message, inner);
