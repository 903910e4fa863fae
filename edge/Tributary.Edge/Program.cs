return await Tributary.Edge.Host.EdgeCommand.RunAsync(args);
