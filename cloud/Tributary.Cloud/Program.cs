using Tributary.Cloud.Cli;

return await CommandLine.RunAsync(args);
