using System.Text.Json;
using System.Text.Unicode;

namespace Tributary.Cloud.Cli;

/// <summary>A value for a setting and where it was found, in words for an error.</summary>
internal readonly record struct FoundSetting(Setting Setting, string Value, string Where);

/// <summary>A setting can't be; the message is a sentence for the user. Exit code 2.</summary>
internal sealed class SettingException(string message) : Exception(message);

/// <summary>Where settings come from: the file, then the environment, then flags; what comes later wins.</summary>
internal static class SettingSources
{
    /// <summary>What environment variables of settings begin with; <c>__</c> stands between levels.</summary>
    public const string VariablePrefix = "TRIBUTARY__";

    /// <summary>Names the file, in the environment.</summary>
    public const string ConfigVariable = VariablePrefix + "CONFIG";

    private static readonly JsonDocumentOptions Lenient = new() { AllowTrailingCommas = true, CommentHandling = JsonCommentHandling.Skip };

    /// <summary>Applies settings one after the other and checks the whole.</summary>
    /// <exception cref="SettingException">One can't be.</exception>
    public static CloudOptions Apply(IEnumerable<FoundSetting> found)
    {
        var options = new CloudOptions();
        foreach ((Setting setting, string value, string where) in found)
        {
            try
            {
                options = setting.Apply(options, value);
            }
            catch (FormatException e)
            {
                throw new SettingException($"the setting '{setting.Name}' is '{value}' ({where}); it {e.Message}");
            }
        }
        try
        {
            return options.Validate();
        }
        catch (ArgumentException e)
        {
            throw new SettingException(e.Message);
        }
    }

    /// <summary>The settings of a JSON file.</summary>
    /// <exception cref="SettingException">The file can't be read, or has something that is no setting.</exception>
    public static IReadOnlyList<FoundSetting> ReadFile(string path)
    {
        try
        {
            byte[] bytes = File.ReadAllBytes(path);
            if (!Utf8.IsValid(bytes))
            {
                throw new SettingException($"the settings file {path} can't be read: it is not UTF-8");
            }
            using JsonDocument document = JsonDocument.Parse(bytes, Lenient);
            var found = new List<FoundSetting>();
            Flatten(document.RootElement, "", path, found);
            return found;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new SettingException($"the settings file {path} can't be read: {e.Message}");
        }
    }

    /// <summary>The settings among environment variables. The prefix is the edge's too, so what is no setting here is passed over.</summary>
    /// <param name="variables">Names and values.</param>
    /// <param name="ignored">Variables with the prefix that are no setting.</param>
    public static IReadOnlyList<FoundSetting> ReadEnvironment(
        IEnumerable<KeyValuePair<string, string>> variables, ICollection<string> ignored)
    {
        var found = new List<FoundSetting>();
        foreach ((string name, string value) in variables.Where(IsOurs).OrderBy(variable => variable.Key, StringComparer.Ordinal))
        {
            if (name.Equals(ConfigVariable, StringComparison.OrdinalIgnoreCase))
            {
                continue;
            }
            if (Settings.Find(name[VariablePrefix.Length..].Replace("__", ":", StringComparison.Ordinal)) is { } setting)
            {
                found.Add(new FoundSetting(setting, value, $"environment variable {name}"));
            }
            else
            {
                ignored.Add(name);
            }
        }
        return found;
    }

    /// <summary>One <c>--set NAME=VALUE</c>.</summary>
    /// <exception cref="SettingException">It isn't one.</exception>
    public static FoundSetting ReadAssignment(string assignment)
    {
        int equals = assignment.IndexOf('=', StringComparison.Ordinal);
        if (equals <= 0)
        {
            throw new SettingException($"'--set {assignment}' isn't NAME=VALUE");
        }
        string name = assignment[..equals];
        Setting setting = Settings.Find(name) ?? throw Unknown(name, "--set");
        return new FoundSetting(setting, assignment[(equals + 1)..], "--set");
    }

    private static bool IsOurs(KeyValuePair<string, string> variable) =>
        variable.Key.StartsWith(VariablePrefix, StringComparison.OrdinalIgnoreCase);

    private static void Flatten(JsonElement element, string name, string path, List<FoundSetting> found)
    {
        if (element.ValueKind == JsonValueKind.Object)
        {
            foreach (JsonProperty member in element.EnumerateObject())
            {
                Flatten(member.Value, name.Length == 0 ? member.Name : $"{name}:{member.Name}", path, found);
            }
            return;
        }
        if (name.Length == 0 || element.ValueKind is JsonValueKind.Array or JsonValueKind.Null)
        {
            throw new SettingException(
                $"{(name.Length == 0 ? $"the settings file {path}" : $"the setting '{name}' in {path}")} must be {(name.Length == 0 ? "an object" : "a single value")}");
        }
        Setting setting = Settings.Find(name) ?? throw Unknown(name, path);
        found.Add(new FoundSetting(setting, element.ToString(), path));
    }

    private static SettingException Unknown(string name, string where) =>
        new($"'{name}' ({where}) is no setting; 'tributary serve --help' lists them");
}
