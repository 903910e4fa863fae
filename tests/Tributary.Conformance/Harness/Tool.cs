namespace Tributary.Conformance.Harness;

/// <summary>Runs a command to its end.</summary>
internal static class Tool
{
    /// <summary>Runs and wants success.</summary>
    /// <returns>What it wrote to standard output.</returns>
    public static async Task<string> RunAsync(string program, params string[] arguments)
    {
        (int code, string output, string errors) = await TryAsync(program, arguments);
        return code == 0
            ? output
            : throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} ended with {code}: {errors}\n{output}");
    }

    /// <summary>Runs.</summary>
    public static async Task<(int Code, string Output, string Errors)> TryAsync(string program, params string[] arguments)
    {
        await using var process = RunningProcess.Start(Path.GetFileName(program), program, arguments);
        int code = await process.ExitAsync();
        return (code, process.Output, process.Errors);
    }
}
