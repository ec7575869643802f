// What the platform consists of, and who may do what with it: one identity, of the app, with data-plane roles only.
param prefix string
param location string
param isPrivate bool
param platformAdminGroup string
param entraClientId string
param auditRetentionDays int
param embeddingDimensions int
param withOpenAI bool
param withContentSafety bool
param customerManagedKeyUri string
param webhookHosts string
param tags object

var resources = loadJsonContent('resources.json')
var unique = take(uniqueString(resourceGroup().id), 6)
var name = '${prefix}-${unique}'
var publicAccess = isPrivate ? 'Disabled' : 'Enabled'

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'id-${name}'
  location: location
  tags: tags
}

module network 'modules/network.bicep' = if (isPrivate) {
  name: 'network'
  params: { name: name, location: location, tags: tags }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  params: {
    name: name
    location: location
    principalId: identity.properties.principalId
    table: resources.audit_table
    stream: resources.audit_stream
    columns: resources.audit_columns
    retentionDays: auditRetentionDays
    isPrivate: isPrivate
    endpointSubnetId: network.?outputs.endpointSubnetId ?? ''
    dnsZoneIds: network.?outputs.dnsZoneIds ?? {}
    tags: tags
  }
}

module bus 'modules/servicebus.bicep' = {
  name: 'servicebus'
  params: {
    name: name
    location: location
    principalId: identity.properties.principalId
    queues: resources.queues
    workspaceId: monitoring.outputs.workspaceId
    identityId: identity.id
    customerManagedKeyUri: customerManagedKeyUri
    isPrivate: isPrivate
    publicAccess: publicAccess
    endpointSubnetId: network.?outputs.endpointSubnetId ?? ''
    dnsZoneIds: network.?outputs.dnsZoneIds ?? {}
    tags: tags
  }
}

module cosmos 'modules/cosmos.bicep' = {
  name: 'cosmos'
  params: {
    name: name
    location: location
    principalId: identity.properties.principalId
    database: resources.database
    containers: resources.containers
    embeddingDimensions: embeddingDimensions
    workspaceId: monitoring.outputs.workspaceId
    identityId: identity.id
    customerManagedKeyUri: customerManagedKeyUri
    isPrivate: isPrivate
    publicAccess: publicAccess
    endpointSubnetId: network.?outputs.endpointSubnetId ?? ''
    dnsZoneIds: network.?outputs.dnsZoneIds ?? {}
    tags: tags
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  params: {
    name: take(toLower(replace('st${name}', '-', '')), 24)
    location: location
    principalId: identity.properties.principalId
    documents: resources.blob_container
    workspaceId: monitoring.outputs.workspaceId
    identityId: identity.id
    customerManagedKeyUri: customerManagedKeyUri
    isPrivate: isPrivate
    publicAccess: publicAccess
    othersMay: isPrivate ? 'Deny' : 'Allow'
    endpointSubnetId: network.?outputs.endpointSubnetId ?? ''
    dnsZoneIds: network.?outputs.dnsZoneIds ?? {}
    tags: tags
  }
}

module vault 'modules/keyvault.bicep' = {
  name: 'keyvault'
  params: {
    name: take('kv-${name}', 24)
    location: location
    principalId: identity.properties.principalId
    workspaceId: monitoring.outputs.workspaceId
    isPrivate: isPrivate
    publicAccess: publicAccess
    othersMay: isPrivate ? 'Deny' : 'Allow'
    endpointSubnetId: network.?outputs.endpointSubnetId ?? ''
    dnsZoneIds: network.?outputs.dnsZoneIds ?? {}
    tags: tags
  }
}

module durable 'modules/durable.bicep' = {
  name: 'durable'
  params: {
    name: name
    location: location
    principalId: identity.properties.principalId
    workspaceId: monitoring.outputs.workspaceId
    allowedAddresses: isPrivate ? ['${network!.outputs.outboundAddress}/32'] : ['0.0.0.0/0']
    isPrivate: isPrivate
    tags: tags
  }
}

module openai 'modules/cognitive.bicep' = if (withOpenAI) {
  name: 'openai'
  params: {
    name: 'oai-${name}'
    kind: 'OpenAI'
    roleId: '5e0bd9bd-7b93-4f28-af87-19fc36ad61bd' // Cognitive Services OpenAI User
    location: location
    principalId: identity.properties.principalId
    workspaceId: monitoring.outputs.workspaceId
    isPrivate: isPrivate
    publicAccess: publicAccess
    othersMay: isPrivate ? 'Deny' : 'Allow'
    endpointSubnetId: network.?outputs.endpointSubnetId ?? ''
    dnsZoneIds: network.?outputs.dnsZoneIds ?? {}
    tags: tags
  }
}

module contentSafety 'modules/cognitive.bicep' = if (withContentSafety) {
  name: 'contentsafety'
  params: {
    name: 'cs-${name}'
    kind: 'ContentSafety'
    roleId: 'a97b65f3-24c7-4388-baec-2e87135dc908' // Cognitive Services User
    location: location
    principalId: identity.properties.principalId
    workspaceId: monitoring.outputs.workspaceId
    isPrivate: isPrivate
    publicAccess: publicAccess
    othersMay: isPrivate ? 'Deny' : 'Allow'
    endpointSubnetId: network.?outputs.endpointSubnetId ?? ''
    dnsZoneIds: network.?outputs.dnsZoneIds ?? {}
    tags: tags
  }
}

module app 'modules/app.bicep' = {
  name: 'app'
  params: {
    name: name
    location: location
    identityId: identity.id
    identityClientId: identity.properties.clientId
    identityPrincipalId: identity.properties.principalId
    workspaceId: monitoring.outputs.workspaceId
    insightsName: monitoring.outputs.insightsName
    storageName: storage.outputs.name
    packageContainer: storage.outputs.packageContainer
    subnetId: network.?outputs.appSubnetId ?? ''
    isPrivate: isPrivate
    zoneRedundant: isPrivate
    instances: isPrivate ? { http: 2, most: 100, memory: 2048 } : { http: 0, most: 10, memory: 2048 }
    settings: {
      DURABLE_TASK_SCHEDULER: durable.outputs.connection
      SERVICEBUS__fullyQualifiedNamespace: bus.outputs.namespace
      COSMOS__accountEndpoint: cosmos.outputs.endpoint
      COSMOS_DATABASE: resources.database
      LOGS_INGESTION_ENDPOINT: monitoring.outputs.ingestionEndpoint
      LOGS_RULE_ID: monitoring.outputs.ruleId
      LOGS_STREAM: resources.audit_stream
      LOGS_WORKSPACE_ID: monitoring.outputs.workspaceCustomerId
      ENTRA_AUTHORITY: '${environment().authentication.loginEndpoint}${tenant().tenantId}'
      ENTRA_TENANT_ID: tenant().tenantId
      ENTRA_CLIENT_ID: entraClientId
      BLOBS_ENDPOINT: storage.outputs.blobEndpoint
      BLOBS_CONTAINER: resources.blob_container
      CONTENT_SAFETY_ENDPOINT: contentSafety.?outputs.endpoint ?? ''
      PLATFORM_ADMIN_GROUP: platformAdminGroup
      WEBHOOK_HOSTS: webhookHosts
      REDACTION_KEY: '@Microsoft.KeyVault(SecretUri=${vault.outputs.uri}secrets/redaction-key)'
      WEBHOOK_SECRET: '@Microsoft.KeyVault(SecretUri=${vault.outputs.uri}secrets/webhook-secret)'
    }
    tags: tags
  }
}

output appUrl string = app.outputs.url
output identityPrincipalId string = identity.properties.principalId
