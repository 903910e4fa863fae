using PuppeteerSharp;

namespace Tributary.Conformance.Harness;

/// <summary>A Chromium without a window: the one that is installed, or that <c>test.sh</c> has installed.</summary>
internal static class Chromium
{
    private const string Variable = "TRIBUTARY_CHROMIUM";
    private static readonly string[] Names = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

    /// <summary>Starts one.</summary>
    public static Task<IBrowser> StartAsync() => Puppeteer.LaunchAsync(new LaunchOptions
    {
        ExecutablePath = Find(),
        // Shared memory and a sandbox are not to be had in every container; the pages are our own.
        Args = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
    });

    private static string Find()
    {
        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } said)
        {
            return said;
        }
        string[] directories = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator);
        return Names.SelectMany(name => directories.Select(directory => Path.Combine(directory, name))).FirstOrDefault(File.Exists)
            ?? throw new FileNotFoundException($"there is no Chromium: install it (Debian: chromium-headless-shell), or name it in {Variable}");
    }
}
