// Durable Task Scheduler: orchestrations and their history, which holds ids and decisions. Identities only; it listens to
// the addresses that it is given, which in production is the app's one way out.
param name string
param location string
param principalId string
param workspaceId string
param allowedAddresses array
param isPrivate bool
param tags object

resource scheduler 'Microsoft.DurableTask/schedulers@2025-11-01' = {
  name: 'dts-${name}'
  location: location
  tags: tags
  properties: {
    sku: isPrivate ? { name: 'Dedicated', capacity: 1 } : { name: 'Consumption' }
    ipAllowlist: allowedAddresses
  }
}

resource hub 'Microsoft.DurableTask/schedulers/taskHubs@2025-11-01' = {
  parent: scheduler
  name: 'assistants' // as host.json names it
}

var contributor = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '0ad04412-c4d5-4796-b79c-f76d14c8d402') // Durable Task Data Contributor

resource runsOrchestrations 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(hub.id, principalId, contributor)
  scope: hub
  properties: { principalId: principalId, principalType: 'ServicePrincipal', roleDefinitionId: contributor }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-the-workspace'
  scope: scheduler
  properties: { workspaceId: workspaceId, metrics: [{ category: 'AllMetrics', enabled: true }] }
}

output connection string = 'Endpoint=${scheduler.properties.endpoint};Authentication=ManagedIdentity'
