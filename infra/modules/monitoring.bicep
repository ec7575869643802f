// Log Analytics with the audit table, the way into it (Logs Ingestion) and Application Insights. The app may send to the
// one rule and read the one table: nothing that deletes or rewrites (claim A7).
param name string
param location string
param principalId string
param table string
param stream string
param columns object
param retentionDays int
param isPrivate bool
param endpointSubnetId string
param dnsZoneIds object
param tags object

var publicAccess = isPrivate ? 'Disabled' : 'Enabled'

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: 'log-${name}'
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: 90
    publicNetworkAccessForIngestion: publicAccess
    publicNetworkAccessForQuery: publicAccess
    features: { disableLocalAuth: true, enableLogAccessUsingOnlyResourcePermissions: true }
  }
}

resource auditTable 'Microsoft.OperationalInsights/workspaces/tables@2022-10-01' = {
  parent: workspace
  name: table
  properties: {
    plan: 'Analytics'
    retentionInDays: min(retentionDays, 730)
    totalRetentionInDays: retentionDays
    schema: {
      name: table
      columns: [for column in items(columns): { name: column.key, type: column.value == 'datetime' ? 'dateTime' : column.value }]
    }
  }
}

resource lock 'Microsoft.Authorization/locks@2020-05-01' = {
  name: 'audit-stays'
  scope: workspace
  properties: { level: 'CanNotDelete', notes: 'The audit trail is in here.' }
}

resource ingestion 'Microsoft.Insights/dataCollectionEndpoints@2023-03-11' = {
  name: 'dce-${name}'
  location: location
  tags: tags
  kind: 'Linux'
  properties: { networkAcls: { publicNetworkAccess: publicAccess } }
}

resource rule 'Microsoft.Insights/dataCollectionRules@2023-03-11' = {
  name: 'dcr-${name}'
  location: location
  tags: tags
  properties: {
    dataCollectionEndpointId: ingestion.id
    streamDeclarations: {
      '${stream}': { columns: [for column in items(columns): { name: column.key, type: column.value }] }
    }
    destinations: { logAnalytics: [{ name: 'audit', workspaceResourceId: workspace.id }] }
    dataFlows: [
      { streams: [stream], destinations: ['audit'], transformKql: 'source', outputStream: 'Custom-${auditTable.name}' }
    ]
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-${name}'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    DisableLocalAuth: true
    publicNetworkAccessForIngestion: publicAccess
    publicNetworkAccessForQuery: publicAccess
  }
}

// Sends to the rule, and to Application Insights: Monitoring Metrics Publisher.
var publisher = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '3913510d-42f4-4e42-8a64-420c390055eb')

resource sendsEvents 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(rule.id, principalId, publisher)
  scope: rule
  properties: { principalId: principalId, principalType: 'ServicePrincipal', roleDefinitionId: publisher }
}

resource sendsTelemetry 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(insights.id, principalId, publisher)
  scope: insights
  properties: { principalId: principalId, principalType: 'ServicePrincipal', roleDefinitionId: publisher }
}

// May query the workspace, and sees of it what it may read: the audit table, of which it is Reader.
// https://learn.microsoft.com/azure/azure-monitor/logs/manage-table-access
resource queries 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'queries-the-workspace')
  properties: {
    roleName: 'Queries ${workspace.name}'
    description: 'Runs queries; sees only tables that another role lets it read.'
    type: 'CustomRole'
    permissions: [
      {
        actions: [
          'Microsoft.OperationalInsights/workspaces/read'
          'Microsoft.OperationalInsights/workspaces/query/read'
        ]
        notActions: []
      }
    ]
    assignableScopes: [resourceGroup().id]
  }
}

resource mayQuery 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(workspace.id, principalId, queries.id)
  scope: workspace
  properties: { principalId: principalId, principalType: 'ServicePrincipal', roleDefinitionId: queries.id }
}

var reader = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'acdd72a7-3385-48ef-bd42-f606fba81ae7')

resource readsTable 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(auditTable.id, principalId, reader)
  scope: auditTable
  properties: { principalId: principalId, principalType: 'ServicePrincipal', roleDefinitionId: reader }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-the-workspace'
  scope: workspace
  properties: { workspaceId: workspace.id, logs: [{ categoryGroup: 'audit', enabled: true }] }
}

resource scope 'Microsoft.Insights/privateLinkScopes@2021-07-01-preview' = if (isPrivate) {
  name: 'ampls-${name}'
  location: 'global'
  tags: tags
  properties: { accessModeSettings: { ingestionAccessMode: 'PrivateOnly', queryAccessMode: 'PrivateOnly' } }
}

resource scoped 'Microsoft.Insights/privateLinkScopes/scopedResources@2021-07-01-preview' = [for (id, index) in [workspace.id, ingestion.id, insights.id]: if (isPrivate) {
  parent: scope
  name: 'scoped-${index}'
  properties: { linkedResourceId: id }
}]

module endpoint 'endpoint.bicep' = if (isPrivate) {
  name: 'endpoint-monitor'
  params: {
    name: 'monitor-${name}'
    location: location
    targetId: scope.id
    groupId: 'azuremonitor'
    subnetId: endpointSubnetId
    dnsZoneIds: isPrivate ? [dnsZoneIds.monitor, dnsZoneIds.logs, dnsZoneIds.queries, dnsZoneIds.agents, dnsZoneIds.blob] : []
    tags: tags
  }
  dependsOn: [scoped]
}

output workspaceId string = workspace.id
output workspaceCustomerId string = workspace.properties.customerId
output insightsName string = insights.name
output ingestionEndpoint string = ingestion.properties.logsIngestion.endpoint
output ruleId string = rule.properties.immutableId
