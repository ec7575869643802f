// A private endpoint of one resource, with its names in the private DNS zones.
param name string
param location string
param targetId string
param groupId string
param subnetId string
param dnsZoneIds array
param tags object

resource endpoint 'Microsoft.Network/privateEndpoints@2024-01-01' = {
  name: 'pe-${name}'
  location: location
  tags: tags
  properties: {
    subnet: { id: subnetId }
    privateLinkServiceConnections: [
      { name: name, properties: { privateLinkServiceId: targetId, groupIds: [groupId] } }
    ]
  }
}

resource names 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-01-01' = {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [for (zone, index) in dnsZoneIds: {
      name: 'zone-${index}'
      properties: { privateDnsZoneId: zone }
    }]
  }
}
